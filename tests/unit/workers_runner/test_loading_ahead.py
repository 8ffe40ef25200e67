"""
Where and when pipelines are loaded, before a job asks for them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chariots_core.errors import AppLoadError
from chariots_core.jobs import lifecycle
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.tick import tick
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.workers.contracts import RunnerSettings, RunOutcome
from chariots_core.workers.runner import JobRunner
from tests.unit.workers_runner.conftest import Jobs
from tests.unit.workers_runner.kit import OPENING_SPEC, OpeningApp


@pytest.fixture(name="opening")
def _opening(store: SqlJobStore) -> OpeningApp:
    app = OpeningApp()
    app.store = store
    return app


@contextmanager
def running(
    app: OpeningApp, housekeeping: Callable[[], None] | None = None, **settings: Any
) -> Iterator[JobRunner]:
    chosen = RunnerSettings(**{"start_method": "fork", **settings})
    with JobRunner(app, worker_id="w", settings=chosen, housekeeping=housekeeping) as runner:
        yield runner


@pytest.mark.parametrize(
    "settings",
    [{}, {"start_method": "spawn", "app_spec": OPENING_SPEC}],
    ids=["fork", "spawn"],
)
def test_warm_child_loads_before_its_first_job(
    settings: dict[str, Any], opening: OpeningApp, jobs: Jobs
) -> None:
    """
    A warm child loads as it starts, and the worker itself loads nothing.
    """
    with running(opening, **settings) as runner:
        opened = jobs.value(runner, "opened")

        assert {jobs.value(runner, "pid")} == set(opened)
    assert [] == opening.opened_in


def test_fresh_child_is_a_copy_of_a_loaded_worker(opening: OpeningApp, jobs: Jobs) -> None:
    """
    A worker that makes a child for each job loads once for all of them.
    """
    with running(opening, isolation="fresh") as runner:
        opened = jobs.value(runner, "opened")

    assert os.getpid() == opened[0]


@pytest.mark.parametrize("isolation", ["warm", "fresh"])
def test_trouble_is_left_to_the_jobs(isolation: str, opening: OpeningApp, jobs: Jobs) -> None:
    """
    A store that is out of reach as a child starts does not end the worker.
    """
    opening.open_error = OSError("no store today")

    with running(opening, isolation=isolation) as runner:
        runner.prepare()

        assert 1 == jobs.value(runner, "echo", 1)


# -- how long it takes


class SlowApp(OpeningApp):
    """
    One that takes its time to load, in whatever process.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def open(self) -> None:
        super().open()
        time.sleep(self.seconds)


@pytest.fixture(name="slow")
def _slow(store: SqlJobStore) -> SlowApp:
    app = SlowApp(1.0)
    app.store = store
    return app


def test_loading_is_not_the_jobs_time(slow: SlowApp, jobs: Jobs) -> None:
    """
    53: the time of a job begins once its child has loaded: the first one's, and the one's
    after a time-out, whose kill had the child replaced.
    """
    with running(slow) as runner:
        ends = [
            jobs.run(runner, pipeline, value, timeout=0.5)[1]
            for pipeline, value in (("echo", 1), ("sleep", 60), ("echo", 2))
        ]

    assert [1, Reason.TIMEOUT, 2] == [end.value or end.reason for end in ends]


def test_worker_that_is_ready_has_loaded(slow: SlowApp, jobs: Jobs) -> None:
    """
    A runner is ready once its child has loaded, and keeps house while it waits for that.
    """
    calls: list[float] = []
    with running(slow, housekeeping=lambda: calls.append(time.monotonic())) as runner:
        began = time.monotonic()
        runner.prepare()
        took = time.monotonic() - began

        assert 1 == jobs.value(runner, "echo", 1)
        assert time.monotonic() - began - took < 0.9
    assert took >= 1.0
    assert len([call for call in calls if call < began + took]) > 2


@pytest.mark.parametrize("wish", ["stop", "abort"])
def test_stop_while_a_child_loads(slow: SlowApp, jobs: Jobs, wish: str) -> None:
    """
    46: asked to stop while its child loads, a runner gives the child up at once, and the job
    stays queued.
    """
    slow.seconds = 60.0
    calls: list[float] = []

    def stop() -> None:
        calls.append(time.monotonic())
        if len(calls) == 2:
            getattr(runner, wish)()

    job_id = jobs.submit("echo", 1)
    with running(slow, housekeeping=stop) as runner:
        outcome = runner.run(job_id)

        assert time.monotonic() - calls[1] < 2.0
    assert RunOutcome.HANDED_BACK is outcome
    assert JobStatus.queued is jobs.store.get(job_id).status


def test_job_that_waits_for_a_child_keeps_its_lease(
    slow: SlowApp, jobs: Jobs, store: SqlJobStore
) -> None:
    """
    40: a job that was claimed before there was a child for it is not taken for lost, however
    long that one loads.
    """

    def keep_house() -> None:
        tick(store, dispatch=lambda _: None, publish=lambda _: None)

    job_id = jobs.submit("echo", 1)
    slow.seconds = 2.0
    with running(slow, housekeeping=keep_house, lease=0.9) as runner:
        record = lifecycle.claim(store, job_id, worker="w", lease=0.9)
        assert record is not None

        assert RunOutcome.DONE is runner.run_claimed(record)


def test_lease_that_is_lost_meanwhile(slow: SlowApp, jobs: Jobs, store: SqlJobStore) -> None:
    """
    A job that became somebody else's while its child loaded is not begun; the child serves
    the next one.
    """
    job_id = jobs.submit("leave", 1, max_attempts=2)
    with running(slow, lease=0.3) as runner:
        record = lifecycle.claim(store, job_id, worker="w", lease=0.3)
        assert record is not None
        lifecycle.release(store, record, reason=Reason.WORKER_STOPPED)

        assert RunOutcome.STALE is runner.run_claimed(record)
        assert 1 == len(set(jobs.value(runner, "opened")))


@pytest.mark.parametrize(
    ("settings", "says"),
    [({}, "exit code 3: no model here"), ({"start_timeout": 0.3}, r"within 0\.3 s: raise")],
)
def test_child_that_cannot_load(
    settings: dict[str, Any], says: str, slow: SlowApp, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A child that ends as it loads, or does not come to an end with it, is an error of the
    worker: it takes no job.
    """

    def leave() -> None:
        print("no model here")
        os._exit(3)

    if not settings:
        monkeypatch.setattr(slow, "open", leave)
    job_id = jobs.submit("echo", 1)
    with running(slow, **settings) as runner, pytest.raises(AppLoadError, match=says):
        runner.run(job_id)

    assert JobStatus.queued is jobs.store.get(job_id).status


def test_what_is_written_while_loading(
    opening: OpeningApp,
    jobs: Jobs,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    What a child writes before its first job is in the worker's log, and in no job's record.
    """
    monkeypatch.setattr(opening, "open", lambda: print("12 models are loaded"))
    with caplog.at_level("INFO"), running(opening) as runner:
        _, record = jobs.run(runner, "say", {"out": "from the job"})

    assert "from the job\n" == jobs.output(record)
    assert "12 models are loaded" in caplog.text
