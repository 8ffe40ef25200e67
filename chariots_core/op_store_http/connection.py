"""
The way to an op store server: connections of each process, retries, outages.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from chariots_core.client.errors import (
    RequestRejected,
    ServerFault,
    ServerTimeout,
    ServerUnreachable,
    UnexpectedAnswer,
)
from chariots_core.client.retries import RetryPolicy, Sending
from chariots_core.client.transport import HTTPTransport, Reply, Request, Timeouts, Transport
from chariots_core.errors import OpStoreError, StoreUnavailable
from chariots_core.op_store_http.address import ServerAddress

T = TypeVar("T")

_ONCE: Final = RetryPolicy(attempts=1)


class Connection:
    """
    Sends requests to one server. Thread-safe and fork-safe.

    Args:
        address: where it is.
        timeouts: how long to wait for it.
        retries: how often to try again where that is safe.
        make_transport: makes the carrier of requests; called once in each process.
    """

    def __init__(
        self,
        address: ServerAddress,
        *,
        timeouts: Timeouts | None = None,
        retries: RetryPolicy | None = None,
        make_transport: Callable[[], Transport] | None = None,
    ) -> None:
        self._url = address.url
        self._retries = retries or RetryPolicy()
        self._make = make_transport or partial(
            HTTPTransport, address.url, timeouts=timeouts, headers=address.headers
        )
        # By process. A child neither uses nor closes what it has from its
        # parent, whose conversation would be disturbed; so it stays in here.
        self._transports: dict[int, Transport] = {}

    def ask(self, request: Request, read: Callable[[Reply], T], *, tries_again: bool = True) -> T:
        """
        Send a request, with what retries are safe, and read its answer.

        Raises:
            StoreUnavailable: no server answered that could do it.
            ChariotsError: what the server met.
        """
        try:
            return read(self._send(request, self._retries if tries_again else _ONCE))
        except ServerUnreachable as error:
            raise self._unavailable(error, request) from error
        except UnexpectedAnswer as error:
            raise StoreUnavailable(
                f"op store server {self._url!r} cannot be used: {error.message}"
            ) from error
        except (RequestRejected, ServerFault) as error:
            kind = StoreUnavailable if isinstance(error, ServerFault) else OpStoreError
            raise kind(
                f"op store server {self._url!r} answered {error.status} ({error.slug}): "
                f"{error.message}"
            ) from error

    def close(self) -> None:
        """
        Give back this process's connections. A later use connects anew.
        """
        transport = self._transports.pop(os.getpid(), None)
        if transport is not None:
            transport.close()

    def _send(self, request: Request, policy: RetryPolicy) -> Reply:
        sending = Sending(request, policy)
        while True:
            outcome = self._try(sending.request)
            # one that was waited for in vain is not waited for again
            waited = isinstance(outcome, ServerTimeout) and outcome.sent
            pause = None if waited else sending.pause_after(outcome)
            if pause is None:
                return sending.result(outcome)
            time.sleep(pause)

    def _try(self, request: Request) -> Reply | ServerUnreachable:
        try:
            return self._transport().send(request)
        except ServerUnreachable as error:
            return error

    def _transport(self) -> Transport:
        pid = os.getpid()
        # without a lock, which a fork could find held: of two threads that
        # make one, one is taken, and the other was never used
        return self._transports.get(pid) or self._transports.setdefault(pid, self._make())

    def _unavailable(self, error: ServerUnreachable, request: Request) -> StoreUnavailable:
        server, reason = f"op store server {self._url!r}", str(error.__cause__ or error.message)
        if not error.sent:
            return StoreUnavailable(
                f"{server} cannot be reached ({reason or type(error.__cause__).__name__}): "
                "is it running, and is this its address?"
            )
        what = f"broke the connection before it answered ({reason}): it may have been restarted"
        if isinstance(error, ServerTimeout):
            what = "did not answer in time: it may be overloaded, or stopped"
        if not (request.repeatable or request.method == "GET"):
            what += f"; whether {request.path} was carried out is not known"
        return StoreUnavailable(f"{server} {what}")
