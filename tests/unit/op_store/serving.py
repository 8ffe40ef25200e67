"""
An op store server in a thread of the tests' own process, on a port of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from werkzeug.serving import WSGIRequestHandler, make_server

from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.server.op_store import OpStoreServer


class Handler(WSGIRequestHandler):
    """
    Keeps connections open, as real servers do, and says nothing.
    """

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None: ...


@contextmanager
def served(store: BaseOpStoreClient, **options: int) -> Iterator[str]:
    """
    The address of a server that has *store*, while the block lasts.
    """
    app = OpStoreServer(store, **options)  # type: ignore[arg-type]
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        app.close()
