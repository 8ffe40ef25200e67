"""
Servers for clients: one of Chariots, and one that says what a test tells it to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs
import pytest
from werkzeug.serving import make_server as make_http_server

from chariots_core.server import PipelinesServer
from chariots_core.testing import TestPipelinesClient
from tests.apps import close_all, make_server


@pytest.fixture(autouse=True)
def _no_open_stores() -> Iterator[None]:
    """
    What a test has made is closed at its end.
    """
    yield
    close_all()


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[PipelinesServer]:
    """
    With a backend, and no worker that would take its jobs.
    """
    server = make_server(tmp_path, worker_pool="local")
    server.testing = True
    yield server
    server.close()


@pytest.fixture(name="client")
def _client(server: PipelinesServer) -> Iterator[TestPipelinesClient]:
    with TestPipelinesClient(server) as client:
        yield client


@pytest.fixture(name="url")
def _url(server: PipelinesServer) -> Iterator[str]:
    """
    The address of the same server, over a network.
    """
    http = make_http_server("127.0.0.1", 0, server, threaded=True)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()


@attrs.define
class Scripted:
    """
    A server that answers as it was told to, and remembers what it was asked.
    """

    url: str = ""
    answers: list[tuple[int, dict[str, str], bytes] | None] = attrs.field(factory=list)
    asked: list[tuple[str, str, dict[str, str]]] = attrs.field(factory=list)


@pytest.fixture(name="scripted")
def _scripted() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        """
        Gives the next answer; ``None`` breaks the connection.
        """

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            script.asked.append((self.command, self.path, headers))
            answer = script.answers.pop(0)
            if answer is None:
                self.connection.close()
                return
            status, fields, body = answer
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **fields}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - the names of http.server

        def log_message(self, *_: Any) -> None:
            """
            Nothing.
            """

        def finish(self) -> None:
            # a connection that was broken on purpose cannot be flushed
            try:
                super().finish()
            except (OSError, ValueError):
                return

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield script
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture(name="worker")
def _worker(server: PipelinesServer) -> Callable[[], Any]:
    """
    A function that starts a worker of the server's backend.
    """
    pool = server.chariots.pool
    assert pool is not None
    return lambda: pool.spawn_worker(start_method="fork")
