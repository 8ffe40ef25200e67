"""
The next job is asked for while an outcome is written, if it can begin right after that.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from chariots_core.jobs import lifecycle
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.workers import RunOutcome
from tests.unit.workers_runner.conftest import Jobs, MakeRunner


@pytest.mark.parametrize("isolation", ["warm", "fresh", "thread"])
def test_asked_before_the_outcome_is_written(
    make_runner: MakeRunner, jobs: Jobs, store: SqlJobStore, isolation: str
) -> None:
    """
    When the next job is asked for, the one at hand is over and not committed yet.
    """
    runner = make_runner(isolation=isolation)
    job_id = jobs.submit("echo", 1)
    seen: list[JobStatus] = []

    outcome = runner.run(job_id, ahead=lambda: seen.append(store.get(job_id).status))

    assert (RunOutcome.DONE, [JobStatus.running]) == (outcome, seen)


@pytest.mark.parametrize(
    ("pipeline", "settings"),
    [
        ("fail", {}),
        ("train", {}),
        ("echo", {"max_jobs": 1}),
        ("echo", {"isolation": "fresh", "start_method": "spawn"}),
    ],
    ids=["a failure", "something to publish", "a child that goes", "a new interpreter for each"],
)
def test_not_asked_if_the_next_would_wait(
    make_runner: MakeRunner, jobs: Jobs, pipeline: str, settings: dict[str, Any]
) -> None:
    """
    A job that was claimed ahead would wait behind a publication, a hand-over or a new child.
    """
    if "start_method" in settings:
        settings = settings | {"app_spec": "tests.unit.workers_runner.kit:app"}
    runner = make_runner(**settings)
    asked: list[str] = []

    runner.run(jobs.submit(pipeline, 1), ahead=lambda: asked.append(pipeline))

    assert [] == asked


def test_not_asked_by_a_runner_that_stops(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    (47) A worker that is to stop finishes its job and claims no other.
    """
    runner = make_runner(isolation="thread", housekeeping_interval=0.05)
    asked: list[str] = []
    job_id = jobs.submit("sleep", 0.3)
    runner._housekeeping = runner.stop

    assert RunOutcome.DONE is runner.run(job_id, ahead=lambda: asked.append(job_id))
    assert [] == asked


def test_failure_to_ask_costs_no_outcome(
    runner: Any, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    """
    What goes wrong with the next job is no concern of the one at hand.
    """

    def broken() -> None:
        raise RuntimeError("the queue is on fire")

    job_id = jobs.submit("echo", 1)
    assert RunOutcome.DONE is runner.run(job_id, ahead=broken)
    assert "looking ahead failed" in caplog.text


def test_old_claim_is_renewed_at_once(
    make_runner: MakeRunner, jobs: Jobs, store: SqlJobStore
) -> None:
    """
    (40) The lease of a job that was claimed a while ago is as old as the claim.
    """
    runner = make_runner(isolation="thread", lease=30.0)
    job_id = jobs.submit("sleep", 0.2)
    record = lifecycle.claim(store, job_id, worker="worker-1", lease=30.0)
    assert record is not None
    renewed: list[float] = []
    renew = lifecycle.renew

    def counted(*arguments: Any, **options: Any) -> Any:
        renewed.append(time.monotonic())
        return renew(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lifecycle, "renew", counted)
        runner.run_claimed(record, since=time.monotonic() - 29.0)

    assert 1 == len(renewed)
