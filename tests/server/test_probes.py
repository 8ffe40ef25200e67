"""
The probes, request ids, and the look for jobs whose time has come.
"""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from chariots_core.app import AppSettings
from chariots_core.server import PipelinesServer
from chariots_core.testing import TestOpStoreClient, TestPipelinesClient
from tests.apps import make_server
from tests.support import wait_until


def broken_server(folder: Path) -> PipelinesServer:
    """
    A server of which neither store can be opened.
    """
    (folder / "file").write_text("in the way of a folder")
    url = f"sqlite:///{folder}/file/jobs.db"
    server = make_server(folder / "file", worker_pool={"backend": "local", "url": url})
    server.testing = True
    return server


def test_live_asks_no_store(tmp_path: Path) -> None:
    """
    A process is alive though no store can be opened.
    """
    response = broken_server(tmp_path).test_client().get("/livez")

    assert (200, {"status": "ok"}) == (response.status_code, response.get_json())


def test_not_ready_names_the_stores(tmp_path: Path) -> None:
    """
    Where stores cannot be opened, the process is not ready, and says which and when to ask again.
    """
    response = broken_server(tmp_path).test_client().get("/readyz")

    body = response.get_json()
    assert (503, "unavailable") == (response.status_code, body["status"])
    assert {"op_store", "pipelines", "job_store"} == set(body["reasons"])
    assert "jobs.db" in body["reasons"]["job_store"]
    assert int(response.headers["Retry-After"]) >= 1


def test_a_job_store_that_cannot_be_made_is_a_reason(
    queueing: PipelinesServer, queue: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A probe answers, even if there is no handle on the job store at all.
    """

    def fault(app: str) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(queueing.chariots.pool, "create_job_store", fault)
    monkeypatch.setattr(queueing.chariots.pool, "_job_store", None)
    response = queue.get("/readyz?verbose=1")

    body = response.get_json()
    assert (503, ["job_store"]) == (response.status_code, list(body["reasons"]))
    assert "hunter2" not in response.text


def test_ready_without_a_worker(queue: FlaskClient) -> None:
    """
    That no worker lives is told, and is no reason not to be ready.
    """
    plain = queue.get("/readyz")
    verbose = queue.get("/readyz?verbose=1").get_json()

    assert (200, {"status": "ok"}) == (plain.status_code, plain.get_json())
    assert ("local", 0) == (verbose["backend"], verbose["workers"])
    assert {"op_store": "ok", "pipelines": "ok", "job_store": "ok"} == verbose["checks"]
    assert all(verbose["loaded"].values())


def test_ready_counts_workers(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    A worker that lives is counted.
    """
    pool = queueing.chariots.pool
    assert pool is not None

    with pool.spawn_worker(start_method="fork") as worker:
        worker.wait_ready()
        counted = queue.get("/readyz?verbose=1").get_json()["workers"]

    assert 1 == counted


@pytest.mark.parametrize("path", ["/livez", "/api/v1/pipelines/nope", "/nowhere", "/health_check"])
def test_a_request_id_comes_back(http: FlaskClient, path: str) -> None:
    """
    The client's own id comes back on every answer, whatever it is.
    """
    response = http.get(path, headers={"X-Request-ID": "trace-7:a.b"})

    assert "trace-7:a.b" == response.headers["X-Request-ID"]


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 200, "ä"])
def test_a_request_gets_an_id(http: FlaskClient, given: str | None) -> None:
    """
    Without a sane id of the client's, each answer has a new one.
    """
    headers = {} if given is None else {"X-Request-ID": given}

    first, second = (http.get("/livez", headers=headers) for _ in range(2))

    assert 16 == len(first.headers["X-Request-ID"])
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]


def tickers() -> list[threading.Thread]:
    """
    The threads that look for jobs.
    """
    return [t for t in threading.enumerate() if t.name.startswith("chariots-tick")]


def test_the_first_request_starts_the_look(tmp_path: Path) -> None:
    """
    Under any server, the first request starts one thread, which close ends.
    """
    settings = AppSettings(tick_interval=0.05)
    server = make_server(tmp_path, worker_pool="local", settings=settings)
    http = server.test_client()

    for _ in range(3):
        http.get("/livez")
    started = len(tickers())
    server.close()

    assert (1, 0) == (started, len(tickers()))


def test_the_look_settles_what_is_due(tmp_path: Path) -> None:
    """
    A job whose time in the queue has ended fails without anybody asking for it.
    """
    settings = AppSettings(tick_interval=0.05)
    server = make_server(tmp_path, worker_pool="local", settings=settings)
    record = server.chariots.submit("echo", 1, queue_timeout=0.1).record

    server.ticker.start()
    store = server.chariots.job_store
    wait_until(lambda: store.get(record.id).status.is_final, message="the job's end")

    assert "expired_in_queue" == store.get(record.id).reason
    server.close()


def test_no_thread_without_need(tmp_path: Path, http: FlaskClient) -> None:
    """
    Neither an app without a backend nor a client of a test starts a thread.
    """
    http.get("/livez")
    server = make_server(tmp_path / "other", worker_pool="local")
    with TestPipelinesClient(server) as client:
        client.list_pipelines()

    assert [] == tickers()


def test_the_look_ends_with_the_server(tmp_path: Path) -> None:
    """
    A server that nobody holds any more takes its thread along.
    """
    pool = {"backend": "local", "url": f"sqlite:///{tmp_path}/jobs.db"}
    settings = AppSettings(tick_interval=0.05)
    server = PipelinesServer([], TestOpStoreClient(tmp_path), worker_pool=pool, settings=settings)
    server.ticker.start()
    assert tickers()
    server.chariots.close()

    del server
    # The thread holds the app while it looks: then one collection comes too early.
    wait_until(lambda: gc.collect() >= 0 and not tickers(), message="the end of the thread")
