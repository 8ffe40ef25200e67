"""
A client that calls a server without a network between them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx

from chariots_core.client import HTTPTransport, PipelinesClient, RetryPolicy
from chariots_core.server import PipelinesServer
from chariots_core.server.ticker import NO_BACKGROUND


class TestPipelinesClient(PipelinesClient):
    """
    As `PipelinesClient`, for a server that is an object of this process.

    Requests and answers are the real ones; only the network is left out. What
    fails is not tried again, and no thread is started.

    Args:
        app: the server.
        **options: further arguments of `PipelinesClient`.
    """

    __test__ = False

    def __init__(self, app: PipelinesServer, **options: Any) -> None:
        self.app = app
        options.setdefault("retries", RetryPolicy(attempts=1))
        options.setdefault(
            "transport",
            HTTPTransport("http://testserver", carrier=httpx.WSGITransport(_quietly(app))),
        )
        super().__init__("http://testserver", **options)


def _quietly(app: PipelinesServer) -> Any:
    def call(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ[NO_BACKGROUND] = True
        return app(environ, start_response)

    return call
