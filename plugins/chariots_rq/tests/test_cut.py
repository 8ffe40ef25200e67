"""
A connection to Redis that is cut in the middle of a submission.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import attrs
import pytest

from chariots_core.errors import JobNotFound, StoreUnavailable
from chariots_core.jobs import JobStatus
from chariots_core.testing import WorkerContext
from tests.redis_servers import RedisProcess
from tests.support import wait_until


@attrs.define
class Cutter:
    """
    A proxy that cuts a connection when a request comes by, before or after it
    has passed the request on.
    """

    target: int
    listener: socket.socket = attrs.field(factory=lambda: socket.create_server(("127.0.0.1", 0)))
    #: what to do with requests: ``"pass"``, ``"swallow"`` or ``"pass, then cut"``
    mode: str = "pass"
    cuts: int = 0
    open_sockets: list[socket.socket] = attrs.field(factory=list)

    @property
    def url(self) -> str:
        """
        Where it is.
        """
        return f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"

    def run(self) -> None:
        """
        Take connections until the listener is closed.
        """
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                self.open_sockets += [client, server]
                threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answers, args=(server, client), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                cuts, passes = self.mode != "pass", self.mode != "swallow"
                if cuts:
                    self.cuts += 1
                    # What comes back goes nowhere.
                    client.shutdown(socket.SHUT_WR)
                if passes:
                    server.sendall(data)
                if cuts:
                    client.close()
                    return

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data)

    def close(self) -> None:
        """
        Cut everything.
        """
        # A thread that waits for connections hears of this, and not of a mere close.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for opened in self.open_sockets:
            opened.close()


@pytest.fixture(name="cutter")
def _cutter(redis_server: RedisProcess) -> Iterator[Cutter]:
    cutter = Cutter(redis_server.port)
    thread = threading.Thread(target=cutter.run, daemon=True)
    thread.start()
    yield cutter
    cutter.close()
    thread.join(10.0)


def test_submission_that_arrived(make_app: Any, cutter: Cutter) -> None:
    """
    (17) A job that was recorded as the connection broke is named by the error; its
    record and its message are both there, it is sent once, and runs once.
    """
    app = make_app({"backend": "rq", "url": cutter.url})
    app.submit("is_odd", 1)
    cutter.mode = "pass, then cut"
    with pytest.raises(StoreUnavailable) as caught:
        app.submit("is_odd", 3, key="mine")
    cutter.mode = "pass"
    job_id = caught.value.job_id
    assert job_id is not None

    wait_until(lambda: _exists(app, job_id))
    queue = app.pool.transport.queue(app.name, "default").key
    assert 1 == [m.decode() for m in app.pool.client.lrange(queue, 0, -1)].count(f"{job_id}-1")
    assert job_id == app.submit("is_odd", 3, key="mine").record.id
    with WorkerContext(app):
        wait_until(lambda: app.fetch_job(job_id).status.is_final, 20.0)
    record = app.fetch_job(job_id)
    assert (JobStatus.done, 1, True) == (record.status, record.attempt, record.value)
    assert 1 == cutter.cuts


def test_submission_that_was_swallowed(make_app: Any, cutter: Cutter) -> None:
    """
    (17) Where the request never arrived there is no job and no message, and the
    same key may be used again.
    """
    app = make_app({"backend": "rq", "url": cutter.url})
    app.submit("is_odd", 1)
    cutter.mode = "swallow"
    with pytest.raises(StoreUnavailable) as caught:
        app.submit("is_odd", 3, key="mine")
    cutter.mode = "pass"
    job_id = caught.value.job_id
    assert job_id is not None

    with pytest.raises(JobNotFound):
        app.fetch_job(job_id)
    queue = app.pool.transport.queue(app.name, "default").key
    assert 1 == app.pool.client.llen(queue)
    again = app.submit("is_odd", 3, key="mine")
    assert (False, True) == (again.replayed, again.record.id != job_id)


def _exists(app: Any, job_id: str) -> bool:
    try:
        return bool(app.fetch_job(job_id))
    except JobNotFound:
        return False
