"""
A store that neither answers nor fails: what is due to the job at hand is due all the same.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import Guard, NewEvent
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.patience import bounded, is_over
from chariots_core.workers.contracts import RunnerSettings, RunOutcome
from chariots_core.workers.runner import JobRunner
from tests.support import process_alive, wait_until
from tests.unit.workers_runner.conftest import Jobs, MakeRunner
from tests.unit.workers_runner.kit import FunctionApp
from tests.unit.workers_runner.test_limits import CHILDREN, meanwhile, pid_in


class NotingStore(SqlJobStore):
    """
    A real store that counts who has turned to it.
    """

    calls = 0

    def compare_and_set(
        self,
        guard: Guard,
        status: JobStatus | None = None,
        changes: Mapping[str, Any] | None = None,
        *,
        event: NewEvent | None = None,
        output: str | None = None,
    ) -> JobRecord | None:
        self.calls += 1
        return super().compare_and_set(guard, status, changes, event=event, output=output)


@pytest.fixture(name="store")
def _store(store_url: str) -> Iterator[NotingStore]:
    store = NotingStore(store_url, app="kit")
    yield store
    store.close()


@contextmanager
def locked(store: NotingStore, path: Path) -> Iterator[None]:
    """
    Somebody else writes to the file for as long as the block takes, which
    begins once the runner waits for that.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        calls = store.calls
        wait_until(lambda: store.calls > calls, message="the runner to turn to the store")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("settings", CHILDREN, ids=["warm", "fresh", "spawn"])
def test_timeout_while_the_store_is_locked(
    settings: dict[str, Any],
    make_runner: MakeRunner,
    jobs: Jobs,
    store: NotingStore,
    tmp_path: Path,
) -> None:
    """
    53: a job over its time is killed on time, though the store cannot be told of it.
    """
    runner = make_runner(lease=0.9, **settings)
    path = tmp_path / "pid"
    took: list[float] = []

    def lock() -> None:
        pid = pid_in(path)
        with locked(store, tmp_path / "jobs.db"):
            wait_until(lambda: not process_alive(pid), message="the end of the child")
            took.append(time.time() - path.stat().st_mtime)

    with meanwhile(lock):
        outcome, record = jobs.run(
            runner, "mark_and_sleep", {"path": str(path), "seconds": 60}, timeout=1.5
        )

    assert (RunOutcome.FAILED, Reason.TIMEOUT) == (outcome, record.reason)
    assert took[0] < 2.5


def test_long_wait_is_no_lost_lease(
    make_runner: MakeRunner, jobs: Jobs, store: NotingStore, tmp_path: Path
) -> None:
    """
    40: a store that is locked for longer than a lease lasts costs no job: it is asked again
    and again, and the first answer counts.
    """
    runner = make_runner(lease=0.6)
    path = tmp_path / "pid"

    def lock() -> None:
        pid_in(path)
        with locked(store, tmp_path / "jobs.db"):
            calls = store.calls
            wait_until(lambda: store.calls > calls + 3, message="more tries")

    with meanwhile(lock):
        outcome, record = jobs.run(runner, "mark_and_sleep", {"path": str(path), "seconds": 2})

    assert (RunOutcome.DONE, "slept", 1) == (outcome, record.value, record.attempt)


@pytest.mark.parametrize("way", ["signal", "word"])
def test_abort_while_the_store_is_locked(
    way: str, app: FunctionApp, jobs: Jobs, store: NotingStore, tmp_path: Path
) -> None:
    """
    48: an order to stop is heard while the store is waited for, whether it comes by a signal
    or has to be listened for, and the store is told if it answers by then.
    """
    ordered = threading.Event()

    def listen() -> None:
        if ordered.is_set():
            runner.abort()

    settings = RunnerSettings(start_method="fork", lease=0.6)
    path = tmp_path / "pid"
    took: list[float] = []

    def order() -> None:
        pid = pid_in(path)
        with locked(store, tmp_path / "jobs.db"):
            began = time.monotonic()
            if way == "word":
                ordered.set()
            else:
                os.kill(os.getpid(), signal.SIGUSR1)
            wait_until(lambda: not process_alive(pid), message="the end of the child")
            took.append(time.monotonic() - began)

    before = signal.signal(signal.SIGUSR1, lambda *_: runner.abort())
    try:
        with (
            JobRunner(app, worker_id="w", settings=settings, listen=listen) as runner,
            meanwhile(order),
        ):
            outcome, record = jobs.run(runner, "mark_and_sleep", {"path": str(path), "seconds": 60})
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert (RunOutcome.FAILED, Reason.WORKER_LOST) == (outcome, record.reason)
    assert took[0] < 1.0


def test_abort_does_not_wait_for_the_commit(
    make_runner: MakeRunner, jobs: Jobs, store: NotingStore, tmp_path: Path
) -> None:
    """
    A worker that must stop now gives up a store that stays locked.
    """
    runner = make_runner(lease=0.6)
    path = tmp_path / "pid"
    over = threading.Event()
    took: list[float] = []

    def order() -> None:
        pid_in(path)
        with locked(store, tmp_path / "jobs.db"):
            began = time.monotonic()
            runner.abort()
            assert over.wait(10.0)
            took.append(time.monotonic() - began)

    with meanwhile(order):
        job_id = jobs.submit("mark_and_sleep", {"path": str(path), "seconds": 60})
        outcome = runner.run(job_id)
        over.set()

    assert (RunOutcome.STALE, JobStatus.running) == (outcome, store.get(job_id).status)
    assert took[0] < 4.0


@pytest.mark.parametrize("isolation", ["warm", "thread"])
def test_end_that_is_seen_too_late(app: FunctionApp, jobs: Jobs, isolation: str) -> None:
    """
    53: an attempt that came to its end after its time is over is one that took too long,
    whatever kept the worker from looking.
    """
    settings = RunnerSettings(
        isolation=isolation,  # type: ignore[arg-type]
        start_method="fork",
        housekeeping_interval=0.1,
    )
    with JobRunner(
        app, worker_id="w", settings=settings, housekeeping=lambda: time.sleep(1.5)
    ) as runner:
        outcome, record = jobs.run(runner, "sleep", 0.8, timeout=0.4)

        assert (RunOutcome.FAILED, Reason.TIMEOUT) == (outcome, record.reason)


def test_child_has_no_part_in_the_workers_haste(app: FunctionApp, jobs: Jobs) -> None:
    """
    What a job does itself, e.g. to a store of its own, is not given up with its worker's.
    """

    def waits(value: Any, job: Any) -> bool:
        return is_over()

    app.pipelines["waits"] = waits
    with bounded(seconds=0.0), JobRunner(app, worker_id="w") as runner:
        assert jobs.value(runner, "waits") is False
