"""
The real ``rq worker`` and the real rq-dashboard, on jobs of Chariots.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from rq import Callback, Queue, Worker
from rq.serializers import JSONSerializer, PickleSerializer

from chariots_core.app import App
from chariots_core.jobs import JobRecord, JobStatus, Reason
from chariots_rq.messages import queue_name
from tests.redis_servers import RedisProcess
from tests.support import process_alive, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

HERE = Path(__file__).parent


@attrs.define
class Deployment:
    """
    An app, and workers of RQ's own for it.
    """

    app: App
    folder: Path
    environment: dict[str, str]
    workers: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    def worker(self, *queues: str) -> subprocess.Popen[bytes]:
        """
        Start ``rq worker``, as somebody who keeps a supervisor would.
        """
        log = (self.folder / f"worker-{len(self.workers)}.log").open("wb")
        command = [
            str(Path(sys.executable).with_name("rq")),
            "worker",
            "-w",
            "chariots_rq.RQWorker",
        ]
        with log:
            worker = subprocess.Popen(
                [*command, *queues],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def log(self, number: int = 0) -> str:
        """
        What a worker wrote.
        """
        return (self.folder / f"worker-{number}.log").read_text()

    def ended(self, job_id: str, timeout: float = 30.0) -> JobRecord:
        """
        The record of a job that has ended.
        """
        wait_until(
            lambda: self.app.fetch_job(job_id).status.is_final,
            timeout,
            lambda: f"{self.app.fetch_job(job_id)}\n{self.log()}",
        )
        return self.app.fetch_job(job_id)

    @property
    def queue(self) -> Queue:
        """
        The app's queue, as anybody who knows RQ may use it.
        """
        pool: Any = self.app.pool
        return Queue(
            queue_name(self.app.name, "default"),
            connection=pool.client,
            serializer=JSONSerializer,
        )


@pytest.fixture(name="deployment")
def _deployment(
    tmp_path: Path, redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    told = {
        "SERVED_NAME": f"served-{uuid.uuid4().hex[:8]}",
        "SERVED_OPS": str(tmp_path / "ops"),
        "SERVED_REDIS": redis_server.url,
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("served", HERE / "served.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    deployment = Deployment(
        app=module.app.chariots,
        folder=tmp_path,
        environment={**os.environ, "CHARIOTS_APP": "served:app", "PYTHONPATH": str(HERE)},
    )
    yield deployment
    for worker in deployment.workers:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(10.0)
    module.app.close()


def test_rq_worker_runs_jobs(deployment: Deployment) -> None:
    """
    ``rq worker`` runs jobs of the app in its environment, is on its list of
    workers, and takes its leave on SIGTERM.
    """
    ids = [deployment.app.submit("is_odd", number).record.id for number in range(5)]
    worker = deployment.worker()

    records = [deployment.ended(job_id) for job_id in ids]
    assert [False, True, False, True, False] == [record.value for record in records]
    pool: Any = deployment.app.pool
    wait_until(lambda: pool.n_workers == 1, 10.0, deployment.log)
    worker.terminate()
    assert 0 == worker.wait(20.0)
    assert 0 == pool.n_workers
    assert deployment.environment["SERVED_NAME"] in deployment.log()


def test_failure_is_the_records(deployment: Deployment) -> None:
    """
    A job that fails is failed in its record, with its error; RQ is told nothing.
    """
    deployment.worker()
    record = deployment.ended(deployment.app.submit("is_odd", "four").record.id)

    assert (JobStatus.failed, Reason.USER_ERROR) == (record.status, record.reason)
    assert record.error is not None
    assert "TypeError" == record.error.type
    assert [] == deployment.queue.failed_job_registry.get_job_ids()


def test_rq_worker_takes_queues_of_the_app(deployment: Deployment) -> None:
    """
    The names of queues on RQ's command line are the app's.
    """
    fast = deployment.app.submit("is_odd", 3, queue="fast").record
    other = deployment.app.submit("is_odd", 3).record
    deployment.worker("fast")

    assert deployment.ended(fast.id).value is True
    assert JobStatus.queued is deployment.app.fetch_job(other.id).status


@pytest.mark.parametrize("victim", ["worker", "child"])
def test_rq_worker_is_killed(deployment: Deployment, victim: str) -> None:
    """
    (30, 32) A job whose worker of RQ's own is killed is lost, and says so.
    """
    gate = deployment.folder / "gate"
    record = deployment.app.submit("wait", str(gate)).record
    worker = deployment.worker()
    wait_until(
        lambda: deployment.app.fetch_job(record.id).status is JobStatus.running,
        20.0,
        deployment.log,
    )
    children = _children(worker.pid)
    if victim == "worker":
        os.killpg(worker.pid, signal.SIGKILL)
    for child in children:
        os.kill(child, signal.SIGKILL)

    ended = deployment.ended(record.id, 40.0)
    assert (JobStatus.failed, Reason.WORKER_LOST) == (ended.status, ended.reason)
    wait_until(lambda: not any(process_alive(child) for child in children))
    if victim == "child":
        assert deployment.ended(deployment.app.submit("is_odd", 3).record.id).value is True


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def _touch(file: str) -> None:
    Path(file).touch()


class _Canary:
    """
    Touches a file where it is unpickled.
    """

    def __init__(self, file: Path) -> None:
        self.file = str(file)

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return (os.mkdir, (self.file,))


def test_messages_of_others_are_refused(deployment: Deployment) -> None:
    """
    (28, 65) A message that names another function, has callbacks, or is a pickle
    is refused by RQ's own worker; nothing of it is called or loaded.
    """
    folder, queue = deployment.folder, deployment.queue
    queue.enqueue("os.mkdir", str(folder / "called"))
    queue.enqueue("pathlib.Path.touch", str(folder / "touched"))
    queue.enqueue(
        "chariots_rq.entry.run",
        "no-such-job",
        on_success=Callback("os.mkdir"),
        on_failure=Callback("os.mkdir"),
    )
    pickled = Queue(queue.name, connection=queue.connection, serializer=PickleSerializer)
    pickled.enqueue(
        "os.getpid", _Canary(folder / "unpickled"), meta={"x": _Canary(folder / "meta")}
    )
    worker = deployment.worker()
    record = deployment.app.submit("is_odd", 3).record

    assert deployment.ended(record.id).value is True
    assert worker.poll() is None
    assert [] == [
        name for name in ("called", "touched", "unpickled", "meta") if (folder / name).exists()
    ]
    assert pickle.dumps(_Canary(folder / "x"))


def test_our_workers_never_read_messages(deployment: Deployment) -> None:
    """
    (28, 65) A worker of Chariots drops what names no job, unread.
    """
    folder, queue = deployment.folder, deployment.queue
    queue.enqueue("os.mkdir", str(folder / "called"))
    pickled = Queue(queue.name, connection=queue.connection, serializer=PickleSerializer)
    pickled.enqueue("os.getpid", _Canary(folder / "unpickled"))
    record = deployment.app.submit("is_odd", 3).record
    assert deployment.app.pool is not None
    worker = deployment.app.pool.spawn_worker(start_method="fork")

    assert deployment.ended(record.id).value is True
    worker.stop(10.0)
    assert [] == [name for name in ("called", "unpickled") if (folder / name).exists()]
    assert [] == queue.job_ids


@pytest.mark.parametrize(
    ("app", "says"),
    [
        ("", "set CHARIOTS_APP"),
        ("nowhere:app", "nowhere"),
        ("served:IsOdd", "IsOdd"),
    ],
)
def test_worker_without_an_app(deployment: Deployment, app: str, says: str) -> None:
    """
    Without an app in its environment the worker ends, and says what to set.
    """
    deployment.environment["CHARIOTS_APP"] = app
    worker = deployment.worker()

    assert 1 == worker.wait(20.0)
    assert says in deployment.log()
    assert "Traceback" not in deployment.log()


def test_dashboard_shows_the_app(
    deployment: Deployment, redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The real rq-dashboard, told of JSON, shows the app's queue, its messages,
    and RQ's own worker once that is idle.
    """
    import rq_dashboard
    from flask import Flask

    with redis_server.client() as client:
        # Other tests kill workers in the middle of jobs.
        client.delete("", *client.scan_iter("rq:worker*"))
    # What its ``--json`` sets.
    monkeypatch.setattr(rq_dashboard.web.config, "serializer", JSONSerializer)
    dashboard = Flask("dashboard")
    dashboard.config.from_object(rq_dashboard.default_settings)
    dashboard.config["RQ_DASHBOARD_REDIS_URL"] = redis_server.url
    rq_dashboard.web.setup_rq_connection(dashboard)
    dashboard.register_blueprint(rq_dashboard.blueprint, url_prefix="/rq")
    record = deployment.app.submit("is_odd", 3).record
    queue = deployment.queue

    with dashboard.test_client() as browser:

        def shown(page: str) -> Any:
            return browser.get(f"/rq/0/data/{page}.json").get_json()

        assert 200 == browser.get("/rq/").status_code
        queues = shown("queues")["queues"]
        jobs = shown(f"jobs/{queue.name}/queued/10/asc/1")["jobs"]
        job = shown(f"job/{record.id}-1")
        deployment.worker()
        deployment.ended(record.id)
        # The record ends before RQ is told, and the dashboard reads what a
        # busy worker is at as pickle, whatever it is told.
        wait_until(
            lambda: (
                [("idle", None)]
                == [
                    (worker.get_state(), worker.get_current_job_id())
                    for worker in Worker.all(queue=queue)
                ]
            ),
            20.0,
            deployment.log,
        )
        workers = [known for known in shown("workers")["workers"] if queue.name in known["queues"]]

    assert 1 == next(shown["count"] for shown in queues if shown["name"] == queue.name)
    assert [(f"{record.id}-1", "is_odd")] == [(job["id"], job["description"]) for job in jobs]
    assert "is_odd" == job["description"]
    assert [([queue.name], "idle")] == [
        (known["queues"], known["current_job"]) for known in workers
    ]
