"""
A wish to stop, at moments when nobody expects it.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from chariots_core.jobs.status import JobStatus
from chariots_core.workers.contracts import RunnerSettings, RunOutcome
from chariots_core.workers.runner import JobRunner
from chariots_core.workers.switch import StopSwitch
from tests.support import wait_until
from tests.unit.workers_runner.conftest import Jobs
from tests.unit.workers_runner.kit import FunctionApp

SLOW = """
import pathlib, time
pathlib.Path({mark!r}).touch()
time.sleep(60)
"""


@pytest.fixture(name="slow_spec")
def _slow_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """
    An app that takes a minute to import, and notes the begin.
    """
    (tmp_path / "slow_app.py").write_text(SLOW.format(mark=str(tmp_path / "importing")))
    monkeypatch.syspath_prepend(str(tmp_path))
    return "slow_app:app"


@pytest.mark.parametrize("wish", ["stop", "abort"])
def test_stop_while_a_child_imports_the_app(
    app: FunctionApp, jobs: Jobs, tmp_path: Path, slow_spec: str, wish: str
) -> None:
    """
    46: asked to stop while its child imports the app, a runner gives the child up at once,
    uses no processor time for that, and the job stays queued.
    """
    job_id = jobs.submit("echo", 1)
    settings = RunnerSettings(start_method="spawn", app_spec=slow_spec)
    mark = tmp_path / "importing"
    with JobRunner(app, worker_id="w", settings=settings) as runner:

        def stop_it() -> None:
            wait_until(mark.exists, message="the import")
            getattr(runner, wish)()

        stopper = threading.Thread(target=stop_it)
        stopper.start()
        began, used = time.monotonic(), time.process_time()
        outcome = runner.run(job_id)
        took, used = time.monotonic() - began, time.process_time() - used
        stopper.join()

    assert RunOutcome.HANDED_BACK is outcome
    assert JobStatus.queued is jobs.store.get(job_id).status
    assert took < 10.0
    assert used < 2.0


def test_housekeeping_while_a_child_imports_the_app(app: FunctionApp, slow_spec: str) -> None:
    """
    What else is to be done goes on while a child imports the app; it may end the wait.
    """
    calls: list[float] = []
    settings = RunnerSettings(start_method="spawn", app_spec=slow_spec)

    def keep_house() -> None:
        calls.append(time.monotonic())
        if len(calls) == 3:
            runner.stop()

    with JobRunner(app, worker_id="w", settings=settings, housekeeping=keep_house) as runner:
        runner.prepare()

    assert 3 == len(calls)


@pytest.mark.parametrize("wish", ["stop", "abort"])
def test_wish_after_the_end(app: FunctionApp, tmp_path: Path, wish: str) -> None:
    """
    A runner that is closed writes nowhere: the number of its descriptor may be another's now.
    """
    runner = JobRunner(app, worker_id="w")
    runner.close()
    paths = [tmp_path / f"stranger{number}" for number in range(5)]
    fds = [os.open(path, os.O_CREAT | os.O_RDWR) for path in paths]
    getattr(runner, wish)()
    for fd in fds:
        os.close(fd)

    assert [0] * 5 == [path.stat().st_size for path in paths]
    assert runner.stopping


def test_switch_is_closed_once() -> None:
    """
    Closing it twice closes nobody else's descriptors.
    """
    switch = StopSwitch()
    switch.close()
    stranger = os.open(os.devnull, os.O_RDONLY)
    switch.close()

    os.close(stranger)


@pytest.mark.parametrize("isolation", ["warm", "fresh"])
def test_pool_closes_what_a_child_inherits(app: FunctionApp, jobs: Jobs, isolation: str) -> None:
    """
    A broker sees the end of the worker's connection though its child lives on: the pool had
    the copy closed.
    """
    ours, brokers = socket.socketpair()
    with ours, brokers:
        brokers.settimeout(5.0)
        settings = RunnerSettings(isolation=isolation, start_method="fork")  # type: ignore[arg-type]
        with JobRunner(
            app, worker_id="w", settings=settings, after_fork=lambda: os.close(ours.fileno())
        ) as runner:
            assert RunOutcome.DONE is runner.run(jobs.submit("echo", 1))
            ours.close()

            assert b"" == brokers.recv(1)


def test_hook_that_fails(app: FunctionApp, jobs: Jobs) -> None:
    """
    A pool that fails to clear up in the child costs no job.
    """

    def fail() -> None:
        raise OSError("no such descriptor")

    settings = RunnerSettings(start_method="fork")
    with JobRunner(app, worker_id="w", settings=settings, after_fork=fail) as runner:
        assert RunOutcome.DONE is runner.run(jobs.submit("echo", 1))
