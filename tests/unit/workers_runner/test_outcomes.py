"""
What a runner makes of a job: the way from its claim to the commit and after.
"""

# ruff: noqa: PLR0917  fixtures are asked for by name

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import attrs
import pytest

from chariots_core.jobs import lifecycle
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.tick import tick
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.workers.contracts import RunOutcome
from chariots_core.workers.runner import JobRunner
from tests.support import wait_until
from tests.unit.workers_runner.conftest import Jobs, MakeRunner
from tests.unit.workers_runner.kit import FunctionApp

ISOLATIONS = ("warm", "fresh", "thread")


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_done(isolation: str, make_runner: MakeRunner, jobs: Jobs, app: FunctionApp) -> None:
    """
    A job that runs through is done, with its value, its versions and its worker (18, 20).
    """
    runner = make_runner(isolation=isolation)

    outcome, record = jobs.run(runner, "echo", {"rows": [1, 2.5, "ü"]})

    assert RunOutcome.DONE is outcome
    assert JobStatus.done is record.status
    assert {"rows": [1, 2.5, "ü"]} == record.value
    assert {"n": "1"} == record.versions
    assert (1, "worker-1") == (record.attempt, record.worker)
    assert record.queued_at
    assert record.started_at
    assert record.finished_at
    assert record.queued_at <= record.started_at <= record.finished_at
    assert [("running", record.id), ("done", record.id)] == app.emitted


@pytest.mark.parametrize(
    "value",
    [{}, [], "", "ünïcode \U0001f600 \u2028", 2**70, -0.5, {"a": [{"b": None}]}, [[[]]], True],
)
@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_value_round_trip(value: Any, isolation: str, make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    Input and result come through as they are (14).
    """
    assert value == jobs.value(make_runner(isolation=isolation), "echo", value)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_none_is_a_result(isolation: str, make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    A job that returns None is done with null, which is not the same as no result (14).
    """
    outcome, record = jobs.run(make_runner(isolation=isolation), "nothing")

    assert RunOutcome.DONE is outcome
    assert "null" == record.value_json


def test_large_values(runner: JobRunner, jobs: Jobs) -> None:
    """
    An input and a result of many megabytes pass, however little a socket holds.
    """
    value = "x" * 20_000_000

    assert value == jobs.value(runner, "echo", value)


def test_duplicate(runner: JobRunner, jobs: Jobs) -> None:
    """
    A job that is delivered again after its end is not run again (35).
    """
    outcome, record = jobs.run(runner, "echo", 1)

    assert RunOutcome.DONE is outcome
    assert RunOutcome.SKIPPED_DUPLICATE is runner.run(record.id)
    assert record == jobs.store.get(record.id)


def test_unknown_job(runner: JobRunner) -> None:
    """
    A message that names no job is dropped (28, 65).
    """
    assert RunOutcome.SKIPPED_DUPLICATE is runner.run("nobody")


def test_run_next_takes_jobs_in_order(runner: JobRunner, jobs: Jobs) -> None:
    """
    From a store that is its own queue, the runner takes the next job until there is none.
    """
    ids = [jobs.submit("echo", n) for n in range(3)]

    outcomes = [runner.run_next(backend="local", queues=["default"]) for _ in range(4)]

    assert [RunOutcome.DONE] * 3 + [None] == outcomes
    assert [0, 1, 2] == [jobs.store.get(job_id).value for job_id in ids]


def test_unknown_pipeline_is_handed_back(
    make_runner: MakeRunner, jobs: Jobs, app: FunctionApp
) -> None:
    """
    A pipeline that this worker does not know makes no failure: the job waits,
    the attempt does not count, and a worker that knows it runs it (26).
    """
    runner = make_runner(unknown_pipeline_delay=0.05)
    del app.pipelines["echo"]

    outcome, record = jobs.run(runner, "echo", 5)

    assert RunOutcome.HANDED_BACK is outcome
    assert (JobStatus.deferred, Reason.UNKNOWN_PIPELINE) == (record.status, record.reason)
    assert 0 == record.attempt
    assert record.due_at is not None


def test_job_of_other_code_is_handed_back(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    A job that a live release submitted is left to it: the attempt does not count.
    """
    runner = make_runner(unknown_pipeline_delay=0.05)
    job_id = jobs.submit("echo", 5, code="other")

    assert RunOutcome.HANDED_BACK is runner.run(job_id)
    record = jobs.store.get(job_id)
    assert (JobStatus.deferred, Reason.VERSION_CONFLICT, 0) == (
        record.status,
        record.reason,
        record.attempt,
    )


def test_job_of_other_code_is_offered_again_soon(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    However often a job of other code was handed back, it waits for the same short time.
    """
    runner = make_runner(unknown_pipeline_delay=0.05)
    job_id = jobs.submit("echo", 5, code="other")
    waits = []
    for _ in range(6):
        runner.run(job_id)
        record = jobs.store.get(job_id)
        assert record.due_at is not None
        waits.append(record.due_at - jobs.store.now())
        wait_until(lambda: jobs.store.due(job_id=job_id))
        tick(jobs.store, dispatch=lambda _: None, publish=lambda _: None, job_id=job_id)

    assert max(waits) < timedelta(seconds=0.1)


def test_unknown_pipeline_backs_off(
    make_runner: MakeRunner, jobs: Jobs, app: FunctionApp, store: SqlJobStore
) -> None:
    """
    With each time it was handed over in vain, a job waits longer, within a bound.
    """
    runner = make_runner(unknown_pipeline_delay=1.0, unknown_pipeline_max_delay=3.0)
    record = store.get(jobs.submit("missing"))

    delays = [
        runner._unknown_pipeline_delay(attrs.evolve(record, generation=generation))
        for generation in (1, 2, 3, 1000)
    ]

    assert [1.0, 2.0, 3.0, 3.0] == delays


def test_claimed_while_stopping(runner: JobRunner, jobs: Jobs, app: FunctionApp) -> None:
    """
    A job that was delivered to a stopping worker goes back to the queue, uncounted (47).
    """
    runner.stop()

    outcome, record = jobs.run(runner, "echo", 1)

    assert RunOutcome.HANDED_BACK is outcome
    assert (JobStatus.queued, Reason.WORKER_STOPPED) == (record.status, record.reason)
    assert 0 == record.attempt
    assert [record.id] == app.dispatched


def test_cancelled_before_it_is_handed_back(
    runner: JobRunner, jobs: Jobs, store: SqlJobStore
) -> None:
    """
    A claimed job that was cancelled before it began is over, and not handed to anybody else.
    """
    job_id = jobs.submit("missing")
    record = lifecycle.claim(store, job_id, worker="worker-1", lease=60)
    assert record is not None
    lifecycle.request_cancel(store, job_id)

    assert RunOutcome.FAILED is runner.run_claimed(record)
    assert Reason.CANCELLED == store.get(job_id).reason


def test_stopping_runner_takes_no_next_job(runner: JobRunner, jobs: Jobs) -> None:
    """
    A stopping runner leaves the queue alone.
    """
    job_id = jobs.submit("echo", 1)
    runner.stop()

    assert runner.run_next(backend="local", queues=["default"]) is None
    assert (JobStatus.queued, None) == (
        jobs.store.get(job_id).status,
        jobs.store.get(job_id).reason,
    )


def test_retry_at_once(runner: JobRunner, jobs: Jobs, app: FunctionApp) -> None:
    """
    A failed attempt with others left goes back to the queue and is handed over at once.
    """
    outcome, record = jobs.run(runner, "fail_until", 2, max_attempts=3)

    assert RunOutcome.RETRIED is outcome
    assert (JobStatus.queued, Reason.RETRYING) == (record.status, record.reason)
    assert record.error is not None
    assert "attempt 1" == record.error.message
    assert [record.id] == app.dispatched
    assert RunOutcome.DONE is runner.run(record.id)
    assert 2 == jobs.store.get(record.id).value


def test_retry_later(runner: JobRunner, jobs: Jobs, app: FunctionApp) -> None:
    """
    With a delay, the job is deferred and handed to nobody yet (54).
    """
    outcome, record = jobs.run(runner, "fail", "x", max_attempts=2, retry_delay=60.0)

    assert RunOutcome.RETRIED is outcome
    assert JobStatus.deferred is record.status
    assert [] == app.dispatched


def test_lost_attempts_end(runner: JobRunner, jobs: Jobs) -> None:
    """
    A job that kills its process twice is done on the third attempt (33).
    """
    job_id = jobs.submit("suicide_until", 3, max_attempts=3)

    outcomes = [runner.run(job_id) for _ in range(3)]

    assert [RunOutcome.RETRIED, RunOutcome.RETRIED, RunOutcome.DONE] == outcomes
    assert (3, 3) == (jobs.store.get(job_id).attempt, jobs.store.get(job_id).value)


def test_poison_is_given_up(runner: JobRunner, jobs: Jobs) -> None:
    """
    A job that always kills its process fails after its attempts, and others go on (33).
    """
    job_id = jobs.submit("suicide_until", 99, max_attempts=3)

    outcomes = [runner.run(job_id) for _ in range(3)]
    record = jobs.store.get(job_id)

    assert [RunOutcome.RETRIED, RunOutcome.RETRIED, RunOutcome.FAILED] == outcomes
    assert (JobStatus.failed, Reason.ATTEMPTS_EXHAUSTED) == (record.status, record.reason)
    assert 3 == record.attempt
    assert 7 == jobs.value(runner, "echo", 7)


def test_trained_is_published_after_the_commit(
    runner: JobRunner, jobs: Jobs, app: FunctionApp
) -> None:
    """
    What a job trained is published once, after the commit that names it and before
    the job reads done; observers learn of the end once (68).
    """
    seen: list[tuple[JobStatus, str | None]] = []
    publish = app.publish

    def watched(record: JobRecord) -> None:
        now = jobs.store.get(record.id)
        seen.append((now.status, now.reason))
        publish(record)

    app.publish = watched  # type: ignore[method-assign]
    outcome, record = jobs.run(runner, "train", 1)

    assert RunOutcome.DONE is outcome
    assert [(JobStatus.running, Reason.PUBLISHING)] == seen
    assert [record.id] == app.published
    assert (JobStatus.done, None) == (record.status, record.reason)
    assert record.published_at is not None
    assert [("running", record.id), ("done", record.id)] == app.emitted


def test_failed_publication_is_left_to_the_tick(
    runner: JobRunner, jobs: Jobs, app: FunctionApp, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A job whose publication fails is no longer its worker's: it reads running until a
    tick has published it, and no observer hears of an end before that (68).
    """
    app.publish_error = OSError("the op store is on fire")

    with caplog.at_level(logging.ERROR):
        outcome, record = jobs.run(runner, "train", 1)

    assert RunOutcome.DONE is outcome
    assert (JobStatus.running, Reason.PUBLISHING, None) == (
        record.status,
        record.reason,
        record.value,
    )
    assert [("running", record.id)] == app.emitted
    assert "the op store is on fire" in caplog.text


@pytest.mark.parametrize("broken", ["emit", "dispatch"])
def test_broken_observer_or_queue_harms_no_job(
    broken: str,
    runner: JobRunner,
    jobs: Jobs,
    app: FunctionApp,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    An observer or a hand-over that raises is logged; the job's outcome stands.
    """

    def explode(*_: object) -> None:
        raise RuntimeError("not my day")

    monkeypatch.setattr(app, broken, explode)

    outcome, record = jobs.run(runner, "fail_until", 2, max_attempts=2)

    assert RunOutcome.RETRIED is outcome
    assert JobStatus.queued is record.status
    assert "not my day" in caplog.text


def test_stale_attempt_commits_nothing(runner: JobRunner, jobs: Jobs, store: SqlJobStore) -> None:
    """
    A result for a job that was settled meanwhile is dropped (36).
    """
    job_id = jobs.submit("echo", 1, max_attempts=2)
    old = lifecycle.claim(store, job_id, worker="worker-1", lease=60)
    assert old is not None
    lifecycle.release(store, old, reason=Reason.WORKER_STOPPED)

    assert RunOutcome.STALE is runner.run_claimed(old)
    assert JobStatus.queued is store.get(job_id).status


def test_current_tells_the_job_at_hand(
    make_runner: MakeRunner, jobs: Jobs, app: FunctionApp
) -> None:
    """
    While a job runs, the runner says which one; afterwards none.
    """
    runner = make_runner()
    seen: list[str | None] = []
    app.emit = lambda *_: seen.append(  # type: ignore[method-assign]
        None if runner.current is None else runner.current.id
    )

    _, record = jobs.run(runner, "echo", 1)

    assert [record.id] * 2 == seen
    assert runner.current is None
