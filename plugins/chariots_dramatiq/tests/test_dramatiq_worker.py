"""
The real ``dramatiq`` command on jobs of Chariots.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import psutil
import pytest

from chariots_core.app import App
from chariots_core.jobs import JobRecord, JobStatus, Reason
from chariots_core.testing import WorkerContext
from chariots_dramatiq import DramatiqWorkerContext
from tests.redis_servers import RedisProcess
from tests.support import process_alive, wait_until

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]

HERE = Path(__file__).parent


@attrs.define
class Deployment:
    """
    An app, and workers of Dramatiq's own for it.
    """

    app: App
    folder: Path
    environment: dict[str, str]
    workers: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    def worker(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        """
        Start ``dramatiq``, as somebody who keeps a supervisor would.
        """
        log = (self.folder / f"worker-{len(self.workers)}.log").open("wb")
        command = [
            str(Path(sys.executable).with_name("dramatiq")),
            "chariots_dramatiq.worker:broker",
            *("--processes", "1", "--threads", "2"),
        ]
        with log:
            worker = subprocess.Popen(
                [*command, *options],
                env={**self.environment, **environment},
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


@pytest.fixture(name="deployment")
def _deployment(
    tmp_path: Path, broker_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    told = {
        "SERVED_NAME": f"served-{uuid.uuid4().hex[:8]}",
        "SERVED_OPS": str(tmp_path / "ops"),
        "SERVED_POOL": json.dumps({**broker_options, "resend_after": 2}),
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


def test_dramatiq_runs_jobs(deployment: Deployment) -> None:
    """
    ``dramatiq`` runs jobs of the app in its environment, each thread in a child
    that lives on; it is on the app's list of workers, and takes its leave on SIGTERM.
    """
    worker = deployment.worker()
    pool: Any = deployment.app.pool
    wait_until(lambda: pool.n_workers == 1, 20.0, deployment.log)
    ids = [deployment.app.submit("is_odd", number).record.id for number in range(20)]
    records = [deployment.ended(job_id) for job_id in ids]
    (listed,) = deployment.app.job_store.workers()

    assert [bool(number % 2) for number in range(20)] == [record.value for record in records]
    assert {listed.id} == {record.worker for record in records}
    # One child for each thread, beside Dramatiq's own processes.
    inside = psutil.Process(listed.pid)
    assert 1 <= len(inside.children()) <= 2
    worker.terminate()
    assert 0 == worker.wait(20.0)
    assert 0 == pool.n_workers


def test_failure_is_the_records(deployment: Deployment) -> None:
    """
    A job that fails is failed in its record, with its error, and ran once;
    Dramatiq retries nothing.
    """
    deployment.worker()
    record = deployment.ended(deployment.app.submit("is_odd", "four").record.id)

    assert (JobStatus.failed, Reason.USER_ERROR, 1) == (
        record.status,
        record.reason,
        record.attempt,
    )
    assert record.error is not None
    assert "TypeError" == record.error.type


def test_kill_of_dramatiq_is_noticed(deployment: Deployment) -> None:
    """
    (32) Its processes are killed in the middle of a job: the job is lost by its
    lease, its child dies, and a worker of Chariots takes the next attempt.
    """
    worker = deployment.worker()
    gate = deployment.folder / "gate"
    record = deployment.app.submit("wait", str(gate), max_attempts=2).record
    wait_until(Path(f"{gate}.started").exists, 20.0, deployment.log)
    inside = psutil.Process(worker.pid).children(recursive=True)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(10.0)
    wait_until(lambda: not any(process_alive(each.pid) for each in inside), 10.0)
    gate.touch()
    with WorkerContext(deployment.app):
        ended = deployment.ended(record.id, timeout=60.0)

    assert (JobStatus.done, 2) == (ended.status, ended.attempt)


def test_queues_and_isolation_are_the_environments(deployment: Deployment) -> None:
    """
    Its environment says which queues it takes jobs from, and how it runs them.
    """
    deployment.worker(CHARIOTS_QUEUES="gpu, slow", CHARIOTS_ISOLATION="thread")
    gate = deployment.folder / "gate"
    gate.touch()
    left = deployment.app.submit("wait", str(gate)).record
    taken = [
        deployment.app.submit("wait", str(gate), queue=queue).record for queue in ("gpu", "slow")
    ]
    records = [deployment.ended(record.id) for record in taken]
    (listed,) = deployment.app.job_store.workers()

    assert {listed.pid} == {record.value for record in records}
    assert ("gpu", "slow") == listed.queues
    assert JobStatus.queued is deployment.app.fetch_job(left.id).status


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
    worker = deployment.worker(CHARIOTS_APP=app)

    assert 0 != worker.wait(20.0)
    assert says in deployment.log()
    assert "Traceback" not in deployment.log()


def test_both_kinds_of_workers_share_a_queue(deployment: Deployment) -> None:
    """
    (29) A worker of Dramatiq's and one of Chariots take jobs side by side, each job once.
    """
    deployment.worker()
    with DramatiqWorkerContext():
        pool: Any = deployment.app.pool
        wait_until(lambda: pool.n_workers == 2, 20.0, deployment.log)
        ids = [deployment.app.submit("is_odd", number).record.id for number in range(40)]
        records = [deployment.ended(job_id) for job_id in ids]

    assert {1} == {record.attempt for record in records}
    assert 2 == len({record.worker for record in records})


@pytest.mark.parametrize("broker_options", ["redis"], indirect=True)
def test_rubbish_on_redis_stops_nothing(deployment: Deployment, redis_server: RedisProcess) -> None:
    """
    (27) Dramatiq's own consumer outlives what is no message in its queue.
    """
    pool: Any = deployment.app.pool
    queue = pool.transport.queue(deployment.app.name, "default").key
    with redis_server.client() as client:
        client.hset(f"{queue}.msgs", "rubbish", b"\x80\x04N.")
        client.rpush(queue, "rubbish", "nothing")
    deployment.worker()

    assert deployment.ended(deployment.app.submit("is_odd", 3).record.id).value is True
