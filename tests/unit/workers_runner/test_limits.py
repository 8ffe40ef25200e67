"""
Jobs that are ended from outside: their time is over, or somebody wants it so.
"""

# ruff: noqa: PLR0917  fixtures are asked for by name

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chariots_core.jobs import lifecycle
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.workers.contracts import RunOutcome
from chariots_core.workers.runner import JobRunner
from tests.support import process_alive, wait_until
from tests.unit.workers_runner.conftest import Jobs, MakeRunner
from tests.unit.workers_runner.kit import SPEC

CHILDREN: list[dict[str, Any]] = [
    {"isolation": "warm"},
    {"isolation": "fresh"},
    {"isolation": "warm", "start_method": "spawn", "app_spec": SPEC},
]


def pid_in(path: Path) -> int:
    """
    The pid that a job wrote, once it has.
    """
    return int(
        wait_until(lambda: path.read_text().strip() if path.exists() else "", message=f"{path}")
    )


@contextmanager
def meanwhile(action: Callable[[], None]) -> Iterator[None]:
    """
    Do something in a thread while the block runs; its error is the test's.
    """
    errors: list[BaseException] = []

    def act() -> None:
        try:
            action()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    yield
    thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("settings", CHILDREN, ids=["warm", "fresh", "spawn"])
def test_timeout(
    settings: dict[str, Any], make_runner: MakeRunner, jobs: Jobs, tmp_path: Path
) -> None:
    """
    A job over its time is killed and fails as that; the next one runs (53).
    """
    runner = make_runner(**settings)
    value = {"path": str(tmp_path / "pid"), "seconds": 60}
    begin = time.monotonic()

    outcome, record = jobs.run(runner, "mark_and_sleep", value, timeout=0.5)

    assert RunOutcome.FAILED is outcome
    assert (JobStatus.failed, Reason.TIMEOUT) == (record.status, record.reason)
    assert 0.5 <= time.monotonic() - begin < 5
    assert record.error is not None
    assert "its timeout of 0.5 s" in record.error.message
    assert not process_alive(pid_in(tmp_path / "pid"))
    assert 1 == jobs.value(runner, "echo", 1)


def test_timeout_ends_a_loop_in_c(runner: JobRunner, jobs: Jobs, tmp_path: Path) -> None:
    """
    A call in C that holds the GIL is killed on time, too (53).
    """
    value = {"path": str(tmp_path / "pid"), "seconds": 60}

    _, record = jobs.run(runner, "hold_gil", value, timeout=0.3)

    assert Reason.TIMEOUT == record.reason
    assert not process_alive(pid_in(tmp_path / "pid"))


def test_timeout_ends_what_the_job_started(runner: JobRunner, jobs: Jobs, tmp_path: Path) -> None:
    """
    Programs that a job started are gone with it.
    """
    _, record = jobs.run(runner, "shell_and_sleep", str(tmp_path / "pid"), timeout=1.0)

    assert Reason.TIMEOUT == record.reason
    wait_until(lambda: not process_alive(pid_in(tmp_path / "pid")))


def test_each_attempt_has_its_time(runner: JobRunner, jobs: Jobs) -> None:
    """
    Where attempts are left, one that took too long is followed by another.
    """
    outcome, record = jobs.run(runner, "sleep", 60, timeout=0.2, max_attempts=2)

    assert RunOutcome.RETRIED is outcome
    assert RunOutcome.FAILED is runner.run(record.id)
    assert Reason.TIMEOUT == jobs.store.get(record.id).reason


@pytest.mark.parametrize("settings", CHILDREN, ids=["warm", "fresh", "spawn"])
def test_cancel(
    settings: dict[str, Any],
    make_runner: MakeRunner,
    jobs: Jobs,
    store: SqlJobStore,
    tmp_path: Path,
) -> None:
    """
    A job that is cancelled while it runs is killed within a renewal, and not
    tried again, whatever attempts are left (52).
    """
    runner = make_runner(lease=1.0, **settings)
    path = tmp_path / "pid"
    job_id = jobs.submit("mark_and_sleep", {"path": str(path), "seconds": 60}, max_attempts=3)

    def cancel() -> None:
        pid_in(path)
        lifecycle.request_cancel(store, job_id)

    with meanwhile(cancel):
        outcome = runner.run(job_id)
    record = store.get(job_id)

    assert RunOutcome.FAILED is outcome
    assert (JobStatus.failed, Reason.CANCELLED) == (record.status, record.reason)
    assert not process_alive(pid_in(path))
    assert 1 == jobs.value(runner, "echo", 1)


def test_cancelled_before_it_started(runner: JobRunner, jobs: Jobs, store: SqlJobStore) -> None:
    """
    A queued job that was cancelled is not run (51).
    """
    job_id = jobs.submit("echo", 1)
    lifecycle.request_cancel(store, job_id)

    assert RunOutcome.SKIPPED_DUPLICATE is runner.run(job_id)
    assert Reason.CANCELLED == store.get(job_id).reason


def test_stop_lets_the_job_finish(runner: JobRunner, jobs: Jobs, tmp_path: Path) -> None:
    """
    A worker that shall stop finishes what it runs (46).
    """
    path = tmp_path / "pid"

    def stop() -> None:
        pid_in(path)
        runner.stop()

    with meanwhile(stop):
        outcome, record = jobs.run(runner, "mark_and_sleep", {"path": str(path), "seconds": 0.3})

    assert RunOutcome.DONE is outcome
    assert "slept" == record.value


@pytest.mark.parametrize(
    ("max_attempts", "outcome", "reason"),
    [
        (1, RunOutcome.FAILED, Reason.WORKER_LOST),
        (2, RunOutcome.RETRIED, Reason.RETRYING),
    ],
)
def test_abort_ends_the_job_at_once(
    max_attempts: int,
    outcome: RunOutcome,
    reason: str,
    runner: JobRunner,
    jobs: Jobs,
    tmp_path: Path,
) -> None:
    """
    A worker that must stop now ends its job as lost, or gives it to another (48).
    """
    path = tmp_path / "pid"

    def abort() -> None:
        pid_in(path)
        runner.abort()

    begin = time.monotonic()
    with meanwhile(abort):
        found, record = jobs.run(
            runner,
            "mark_and_sleep",
            {"path": str(path), "seconds": 60},
            max_attempts=max_attempts,
        )

    assert (outcome, reason) == (found, record.reason)
    assert time.monotonic() - begin < 5
    assert record.error is not None
    assert "WorkerStopped" == record.error.type
    assert not process_alive(pid_in(path))


def test_signal_handlers_may_stop_a_runner(runner: JobRunner, jobs: Jobs) -> None:
    """
    A signal that comes while the loop waits ends the wait, without waiting for anything else.
    """
    before = signal.signal(signal.SIGALRM, lambda *_: runner.abort())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        begin = time.monotonic()
        _, record = jobs.run(runner, "sleep", 60)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    assert Reason.WORKER_LOST == record.reason
    assert time.monotonic() - begin < 2


def test_child_leaves_stopping_to_its_worker(runner: JobRunner, jobs: Jobs, tmp_path: Path) -> None:
    """
    SIGTERM and SIGINT to all processes of a worker, as a service manager sends
    them, do not end the job at hand (46).
    """
    path = tmp_path / "pid"

    def terminate() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(pid_in(path), number)

    with meanwhile(terminate):
        outcome, _ = jobs.run(runner, "mark_and_sleep", {"path": str(path), "seconds": 0.5})

    assert RunOutcome.DONE is outcome


def test_programs_of_a_job_can_be_stopped(runner: JobRunner, jobs: Jobs) -> None:
    """
    What a job starts obeys SIGTERM as ever: a program, and a copy of the child.
    """
    assert -signal.SIGTERM == jobs.value(runner, "run_program", ["sleep", "60"])
    assert -signal.SIGTERM == jobs.value(runner, "stop_a_fork")


# -- in a thread, where nothing can be ended


def test_timeout_in_a_thread(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    A job in a thread cannot be ended, as declared: it fails once it is over,
    and the worker waits for that at rest.
    """
    runner = make_runner(isolation="thread")
    begin, used = time.monotonic(), time.process_time()

    outcome, record = jobs.run(runner, "sleep", 0.6, timeout=0.1)

    assert RunOutcome.FAILED is outcome
    assert Reason.TIMEOUT == record.reason
    assert time.monotonic() - begin >= 0.6
    assert time.process_time() - used < 0.3


def test_cancel_in_a_thread(
    make_runner: MakeRunner, jobs: Jobs, store: SqlJobStore, tmp_path: Path
) -> None:
    """
    A job in a thread that is cancelled keeps its lease until it is over, and fails then.
    """
    runner = make_runner(isolation="thread", lease=0.6)
    path = tmp_path / "pid"
    job_id = jobs.submit("mark_and_sleep", {"path": str(path), "seconds": 1.5})

    def cancel() -> None:
        pid_in(path)
        lifecycle.request_cancel(store, job_id)

    with meanwhile(cancel):
        outcome = runner.run(job_id)

    assert RunOutcome.FAILED is outcome
    assert Reason.CANCELLED == store.get(job_id).reason


def test_abort_leaves_a_thread_behind(make_runner: MakeRunner, jobs: Jobs, tmp_path: Path) -> None:
    """
    A worker that must stop now does not wait for a thread.
    """
    runner = make_runner(isolation="thread")
    path = tmp_path / "pid"

    def abort() -> None:
        pid_in(path)
        runner.abort()

    begin = time.monotonic()
    with meanwhile(abort):
        _, record = jobs.run(runner, "mark_and_sleep", {"path": str(path), "seconds": 2})

    assert Reason.WORKER_LOST == record.reason
    assert time.monotonic() - begin < 1.5
    wait_until(lambda: not any(t.name.startswith("chariots-job") for t in threading.enumerate()))
