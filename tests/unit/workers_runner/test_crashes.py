"""
Workers and children that are killed or frozen, and what is left of their jobs.
"""

# ruff: noqa: PLR0917  fixtures are asked for by name

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.tick import tick
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.testing.conformance.processes import halt
from chariots_core.workers.contracts import RunOutcome
from chariots_core.workers.runner import JobRunner
from tests.support import ROOT, process_alive, wait_until
from tests.unit.workers_runner.conftest import Jobs, MakeRunner
from tests.unit.workers_runner.kit import SPEC, FunctionApp

pytestmark = pytest.mark.crash


class Worker:
    """
    A worker in a process of its own.
    """

    def __init__(self, url: str, ledger: Path, settings: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.unit.workers_runner.program",
                url,
                str(ledger),
                json.dumps(settings),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert "ready\n" == self.line()

    @property
    def pid(self) -> int:
        return self.process.pid

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class StartWorker(Protocol):
    def __call__(self, **settings: Any) -> Worker: ...


@pytest.fixture(name="ledger")
def _ledger(tmp_path: Path) -> Path:
    return tmp_path / "published"


@pytest.fixture(name="start_worker")
def _start_worker(store: SqlJobStore, store_url: str, ledger: Path) -> Iterator[StartWorker]:
    store.ping()
    workers: list[Worker] = []

    def start(**settings: Any) -> Worker:
        workers.append(Worker(store_url, ledger, {"lease": 0.6, **settings}))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()


def settle(store: SqlJobStore, app: FunctionApp, job_id: str) -> JobRecord:
    """
    Let another process's tick settle the job, once its lease is over.
    """

    def settled() -> JobRecord | None:
        tick(store, dispatch=app.dispatch, publish=app.publish, job_id=job_id)
        record = store.get(job_id)
        return None if record.status is JobStatus.running else record

    return wait_until(settled, message="the lost attempt to be settled")  # type: ignore[return-value]


def pid_in(path: Path) -> int:
    return int(
        wait_until(lambda: path.read_text().split() if path.exists() else [], message=f"{path}")[0]
    )


@pytest.mark.parametrize(
    "settings",
    [{}, {"isolation": "fresh"}, {"start_method": "spawn", "app_spec": SPEC}],
    ids=["warm", "fresh", "spawn"],
)
@pytest.mark.parametrize("pipeline", ["mark_and_sleep", "hold_gil"])
def test_child_dies_with_its_worker(
    pipeline: str,
    settings: dict[str, Any],
    start_worker: StartWorker,
    jobs: Jobs,
    store: SqlJobStore,
    app: FunctionApp,
    tmp_path: Path,
) -> None:
    """
    When the worker alone is killed, the child dies too, even in a C call that
    holds the GIL; the job is settled by whoever looks, and ran once (31).
    """
    path = tmp_path / "pid"
    worker = start_worker(**settings)
    job_id = jobs.submit(pipeline, {"path": str(path), "seconds": 60})
    child = pid_in(path)

    worker.kill()

    wait_until(lambda: not process_alive(child), message="the child to die")
    record = settle(store, app, job_id)
    assert (JobStatus.failed, Reason.WORKER_LOST) == (record.status, record.reason)
    assert 1 == len(path.read_text().splitlines())


def test_child_dies_without_a_death_signal(
    start_worker: StartWorker, jobs: Jobs, tmp_path: Path
) -> None:
    """
    Where the kernel does not end children with their parent, they see its end by themselves (31).
    """
    path = tmp_path / "pid"
    worker = start_worker(no_death_signal=True)
    jobs.submit("mark_and_sleep", {"path": str(path), "seconds": 60})
    child = pid_in(path)

    worker.kill()

    wait_until(lambda: not process_alive(child), message="the child to die")


@pytest.mark.parametrize("pipeline", ["mark_and_sleep", "hold_gil"])
def test_killed_child(
    pipeline: str, start_worker: StartWorker, jobs: Jobs, store: SqlJobStore, tmp_path: Path
) -> None:
    """
    When the child alone is killed, its worker says so at once and takes the next job (30).
    """
    path = tmp_path / "pid"
    worker = start_worker(lease=60)
    job_id = jobs.submit(pipeline, {"path": str(path), "seconds": 60})

    os.kill(pid_in(path), signal.SIGKILL)

    assert "failed\n" == worker.line()
    record = store.get(job_id)
    assert (JobStatus.failed, Reason.WORKER_LOST) == (record.status, record.reason)
    assert record.error is not None
    assert "killed by signal 9 (SIGKILL)" == record.error.message
    jobs.submit("echo", 1)
    assert "done\n" == worker.line()


def test_lost_attempt_is_followed_by_another(
    start_worker: StartWorker,
    jobs: Jobs,
    store: SqlJobStore,
    app: FunctionApp,
    runner: JobRunner,
    tmp_path: Path,
) -> None:
    """
    A job of two attempts whose worker was killed is run again by another worker (33).
    """
    path = tmp_path / "pid"
    worker = start_worker()
    job_id = jobs.submit("mark_and_sleep", {"path": str(path), "seconds": 0.5}, max_attempts=2)
    pid_in(path)
    worker.kill()

    record = settle(store, app, job_id)

    assert (JobStatus.queued, Reason.RETRYING) == (record.status, record.reason)
    assert RunOutcome.DONE is runner.run(job_id)
    assert 2 == store.get(job_id).attempt


@pytest.mark.parametrize("isolation", ["warm", "fresh", "thread"])
def test_frozen_worker_commits_nothing(
    isolation: str,
    start_worker: StartWorker,
    jobs: Jobs,
    store: SqlJobStore,
    app: FunctionApp,
    runner: JobRunner,
    ledger: Path,
    tmp_path: Path,
) -> None:
    """
    A worker that was frozen for longer than its lease finds its job settled: it
    commits nothing and publishes nothing, and the retry's outcome stands (36, 68).
    """
    path = tmp_path / "pid"
    worker = start_worker(isolation=isolation)
    job_id = jobs.submit("train_slowly", {"path": str(path), "seconds": 0.3}, max_attempts=2)
    pid_in(path)
    halt([worker.pid])
    settle(store, app, job_id)
    assert RunOutcome.DONE is runner.run(job_id)
    committed = store.get(job_id)

    os.kill(worker.pid, signal.SIGCONT)

    assert "stale\n" == worker.line()
    assert committed == store.get(job_id)
    assert "worker-1" == committed.worker
    assert not ledger.exists()
    assert [job_id] == app.published


def test_frozen_worker_ends_its_own_attempt(
    start_worker: StartWorker,
    jobs: Jobs,
    store: SqlJobStore,
    app: FunctionApp,
    tmp_path: Path,
) -> None:
    """
    A worker that comes back to find its attempt settled ends it, instead of
    letting it run to its end (36).
    """
    path = tmp_path / "pid"
    worker = start_worker()
    job_id = jobs.submit("mark_and_sleep", {"path": str(path), "seconds": 60})
    child = pid_in(path)
    halt([worker.pid])
    settle(store, app, job_id)

    os.kill(worker.pid, signal.SIGCONT)

    assert "stale\n" == worker.line()
    assert not process_alive(child)
    jobs.submit("echo", 1)
    assert "done\n" == worker.line()


@pytest.mark.parametrize("isolation", ["warm", "fresh"])
def test_held_gil_loses_no_job(
    isolation: str,
    start_worker: StartWorker,
    jobs: Jobs,
    store: SqlJobStore,
    app: FunctionApp,
    tmp_path: Path,
) -> None:
    """
    An op that holds the GIL for three times its lease is not taken for dead, and runs once (37).
    """
    path = tmp_path / "pid"
    worker = start_worker(isolation=isolation)
    job_id = jobs.submit("hold_gil", {"path": str(path), "seconds": 1.8}, max_attempts=2)

    def over() -> bool:
        tick(store, dispatch=app.dispatch, publish=app.publish)
        return store.get(job_id).status is not JobStatus.running and path.exists()

    wait_until(over)

    record = store.get(job_id)
    assert (JobStatus.done, "held", 1) == (record.status, record.value, record.attempt)
    assert 1 == len(path.read_text().splitlines())
    assert "done\n" == worker.line()


def test_killed_between_commit_and_publication(
    start_worker: StartWorker, jobs: Jobs, store: SqlJobStore, app: FunctionApp
) -> None:
    """
    If a worker dies between commit and publication, the job reads running until a
    tick has published what it trained, and then it is done (68).
    """
    worker = start_worker(die_in_publish=True)
    job_id = jobs.submit("train", 1)
    worker.process.wait(10)
    left = store.get(job_id)
    assert (JobStatus.running, Reason.PUBLISHING, None) == (left.status, left.reason, left.value)

    def over() -> bool:
        tick(store, dispatch=app.dispatch, publish=app.publish)
        record = store.get(job_id)
        assert (record.status is JobStatus.done) is (app.published == [job_id])
        return record.status is JobStatus.done

    wait_until(over)

    record = store.get(job_id)
    assert (left.value_json, 1) == (record.value_json, record.attempt)
    assert record.published_at is not None


def test_stopping_worker_finishes_its_job(
    start_worker: StartWorker, jobs: Jobs, store: SqlJobStore, tmp_path: Path
) -> None:
    """
    SIGTERM to worker and child alike: the job is done, the worker leaves with code 0 (46).
    """
    path = tmp_path / "pid"
    worker = start_worker()
    job_id = jobs.submit("mark_and_sleep", {"path": str(path), "seconds": 0.5})
    left = jobs.submit("echo", 1)
    for pid in (pid_in(path), worker.pid):
        os.kill(pid, signal.SIGTERM)

    assert 0 == worker.process.wait(10)
    assert JobStatus.done is store.get(job_id).status
    assert JobStatus.queued is store.get(left).status


def test_orphaned_program_outlives_no_fresh_child(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    What a job in a fresh child started is gone once the job is over.
    """
    program = jobs.value(make_runner(isolation="fresh"), "spawn_program", {})

    wait_until(lambda: not process_alive(program))
