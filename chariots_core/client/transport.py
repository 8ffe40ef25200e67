"""
The seam between the calls of a client and the library that carries them.

A call is made into a `Request`, a transport turns it into a `Reply`. All that
is known of httpx is in this module.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from chariots_core.client.errors import ServerTimeout, ServerUnreachable

if TYPE_CHECKING:
    import httpx


@attrs.frozen(kw_only=True)
class Request:
    """
    What is asked of the server.

    Attributes:
        method: the HTTP verb.
        path: with its query, from the server's root; starts with ``/``.
        body: a JSON document, or ``None``.
        headers: further header fields.
        repeatable: whether sending it twice does no more than sending it once,
            where the second one says that it is a repeat.
        timeout: seconds that all of it may take, repeats included; unset, each
            time takes as long as the client's own time-outs allow.
    """

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    repeatable: bool = False
    timeout: float | None = None


@attrs.frozen(kw_only=True)
class Reply:
    """
    What the server answered.

    Attributes:
        url: what was asked.
        status: the status code.
        headers: header fields, by their names in lower case.
        content: the body.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes


@attrs.frozen(kw_only=True)
class Timeouts:
    """
    Seconds that a client gives to the server.

    Attributes:
        connect: to take the connection.
        answer: to answer, once the request is sent; ``None``: no bound.
    """

    connect: float = 5.0
    answer: float | None = 60.0


class Transport(Protocol):
    """
    Carries requests to one server, and waits for each.
    """

    def send(self, request: Request) -> Reply:
        """
        Send *request* once and return what came back, whatever its status.
        Where it has a time-out, nothing is waited for longer than that.

        Raises:
            ServerUnreachable: nothing came back.
        """

    def close(self) -> None:
        """
        Give back connections. Idempotent.
        """


class AsyncTransport(Protocol):
    """
    As `Transport`, for coroutines.
    """

    async def send(self, request: Request) -> Reply:
        """
        As `Transport.send`.
        """

    async def close(self) -> None:
        """
        As `Transport.close`.
        """


class HTTPTransport:
    """
    A transport over httpx.

    Args:
        base_url: where the server is.
        timeouts: how long to wait for it.
        carrier: another way to reach it than the network, e.g. httpx's own
            transport into a WSGI application.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeouts: Timeouts | None = None,
        headers: Mapping[str, str] | None = None,
        carrier: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeouts = timeouts or Timeouts()
        self._headers = dict(headers or {})
        self._carrier = carrier
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None

    def send(self, request: Request) -> Reply:
        url = self.base_url + request.path
        http = self._http or self._connected()
        with _named_errors(url):
            return _reply(
                url,
                http.request(
                    request.method,
                    url,
                    content=request.body,
                    headers=_headers(request),
                    timeout=_timeout(self._timeouts, request),
                ),
            )

    def _connected(self) -> httpx.Client:
        # here, since it takes longer to import than all the rest of a client
        import httpx

        with self._lock:
            if self._http is None:
                self._http = httpx.Client(transport=self._carrier, headers=self._headers)
            return self._http

    def close(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            http.close()


class AsyncHTTPTransport:
    """
    As `HTTPTransport`, for coroutines. It belongs to the event loop that used it first.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeouts: Timeouts | None = None,
        headers: Mapping[str, str] | None = None,
        carrier: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeouts = timeouts or Timeouts()
        self._headers = dict(headers or {})
        self._carrier = carrier
        self._http: httpx.AsyncClient | None = None

    async def send(self, request: Request) -> Reply:
        url = self.base_url + request.path
        if self._http is None:
            import httpx

            self._http = httpx.AsyncClient(transport=self._carrier, headers=self._headers)
        with _named_errors(url):
            return _reply(
                url,
                await self._http.request(
                    request.method,
                    url,
                    content=request.body,
                    headers=_headers(request),
                    timeout=_timeout(self._timeouts, request),
                ),
            )

    async def close(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()


_JSON: Final = {"Accept": "application/json"}
_JSON_BODY: Final = {**_JSON, "Content-Type": "application/json"}


def _headers(request: Request) -> dict[str, str]:
    return {**(_JSON if request.body is None else _JSON_BODY), **request.headers}


def _timeout(timeouts: Timeouts, request: Request) -> httpx.Timeout:
    import httpx

    answer = _shorter(timeouts.answer, request.timeout)
    return httpx.Timeout(answer, connect=_shorter(timeouts.connect, request.timeout))


def _shorter(one: float | None, other: float | None) -> float | None:
    return min((bound for bound in (one, other) if bound is not None), default=None)


def _reply(url: str, response: httpx.Response) -> Reply:
    return Reply(
        url=url,
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        content=response.content,
    )


@contextmanager
def _named_errors(url: str) -> Iterator[None]:
    import httpx

    try:
        yield
    except (httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        raise ServerTimeout(
            f"{url} did not take the connection in time: is the server overloaded, "
            "or a firewall in between?",
            url=url,
            sent=False,
        ) from error
    except httpx.TimeoutException as error:
        raise ServerTimeout(
            f"{url} did not answer in time: give it more with `timeouts=Timeouts(answer=...)` "
            "of the client, or ask for a worker with `use_worker=True` where a run takes long",
            url=url,
            sent=True,
        ) from error
    except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.ProxyError) as error:
        raise ServerUnreachable(
            f"nothing answers at {url} ({error}): is the server running, and is this its address?",
            url=url,
            sent=False,
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServerUnreachable(
            f"the connection to {url} broke before an answer came ({type(error).__name__}: "
            f"{error}); whether the request was carried out is not known",
            url=url,
            sent=True,
        ) from error
