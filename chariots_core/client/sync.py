"""
The client of a pipelines server.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from chariots_core.client.base import AbstractPipelinesClient
from chariots_core.client.errors import ServerUnreachable
from chariots_core.client.retries import Outcome, RetryPolicy, Sending
from chariots_core.client.transport import HTTPTransport, Reply, Request, Timeouts, Transport


class PipelinesClient(AbstractPipelinesClient):
    """
    Calls the pipelines of a server over HTTP. Safe to share between threads.

    Nothing is sent before the first call. ``close`` it, or use it in a
    ``with`` statement, to give back its connections.

    Args:
        backend_url: where the server is.
        timeouts: seconds for connecting and for an answer.
        retries: how often to try again where that is safe: reading, what
            certainly did not arrive, and calls under an idempotency key, which
            those that ask for a worker have by themselves.
        headers: header fields for every request.
        transport: another carrier of requests than HTTP.
    """

    def __init__(
        self,
        backend_url: str = "http://127.0.0.1:5000",
        *,
        timeouts: Timeouts | None = None,
        retries: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        transport: Transport | None = None,
    ) -> None:
        self.backend_url = backend_url
        self._retries = retries or RetryPolicy()
        self._transport = transport or HTTPTransport(
            backend_url, timeouts=timeouts, headers=headers
        )

    def send(self, request: Request) -> Reply:
        sending = Sending(request, self._retries)
        while True:
            outcome = self._try(sending.request)
            pause = sending.pause_after(outcome)
            if pause is None:
                return sending.result(outcome)
            time.sleep(pause)

    def _try(self, request: Request) -> Outcome:
        try:
            return self._transport.send(request)
        except ServerUnreachable as error:
            return error

    def close(self) -> None:
        self._transport.close()
