"""
A store that does not answer while a job runs, or as it ends.
"""

# ruff: noqa: PLR0917  fixtures are asked for by name

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from chariots_core.errors import StaleAttempt, StoreUnavailable
from chariots_core.jobs import lifecycle
from chariots_core.jobs.publication import settle_publications
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import Guard, NewEvent
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.workers.contracts import RunOutcome
from tests.unit.workers_runner.conftest import Jobs, MakeRunner
from tests.unit.workers_runner.kit import FunctionApp


class UnreliableStore(SqlJobStore):
    """
    A real store behind a line that breaks as the test says.
    """

    #: decides, before a change and after it, whether the line is broken
    breaks: Callable[[str, JobStatus], bool] = staticmethod(lambda *_: False)
    #: the same, for changes that write a manifest
    breaks_manifest: Callable[[str, JobStatus], bool] = staticmethod(lambda *_: False)
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
        target = status or guard.status
        has_manifest = (changes or {}).get("manifest_json") is not None
        breaks = self.breaks_manifest if has_manifest else self.breaks
        if breaks("before", target):
            raise StoreUnavailable("the store does not answer")
        written = super().compare_and_set(guard, status, changes, event=event, output=output)
        if breaks("after", target):
            raise StoreUnavailable("the answer is lost")
        return written


@pytest.fixture(name="store")
def _store(store_url: str) -> Iterator[UnreliableStore]:
    store = UnreliableStore(store_url, app="kit")
    yield store
    store.close()


class Outage:
    """
    Breaks the line for changes to one status: for some seconds, or some times.
    """

    def __init__(
        self, target: JobStatus, when: str, *, seconds: float = 0.0, times: int = 0
    ) -> None:
        self.target = target
        self.when = when
        self.seconds = seconds
        self.times = times
        self.begin: float | None = None
        self.hits = 0

    def __call__(self, when: str, target: JobStatus) -> bool:
        if (when, target) != (self.when, self.target):
            return False
        self.hits += 1
        if self.begin is None:
            self.begin = time.monotonic()
        return self.hits <= self.times or time.monotonic() - self.begin < self.seconds


def test_outage_while_running(
    make_runner: MakeRunner, jobs: Jobs, store: UnreliableStore, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A lease that cannot be renewed for a while does not end the run (40).
    """
    runner = make_runner(lease=0.3)
    store.breaks = outage = Outage(JobStatus.running, "before", seconds=0.6, times=0)
    job_id = jobs.submit("sleep", 1.0)
    record = _claimed_without_outage(store, job_id, outage)

    outcome = runner.run_claimed(record)

    assert RunOutcome.DONE is outcome
    assert outage.hits > 1
    assert "cannot be renewed now" in caplog.text
    assert (JobStatus.done, "slept", 1) == (
        store.get(job_id).status,
        store.get(job_id).value,
        store.get(job_id).attempt,
    )


def _claimed_without_outage(
    store: UnreliableStore, job_id: str, outage: Callable[[str, JobStatus], bool]
) -> JobRecord:
    store.breaks = lambda *_: False
    record = lifecycle.claim(store, job_id, worker="worker-1", lease=0.3)
    store.breaks = outage
    assert record is not None
    return record


@pytest.mark.parametrize(
    ("pipeline", "target", "outcome"),
    [
        ("echo", JobStatus.done, RunOutcome.DONE),
        ("fail", JobStatus.failed, RunOutcome.FAILED),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_outage_at_the_commit(
    when: str,
    pipeline: str,
    target: JobStatus,
    outcome: RunOutcome,
    make_runner: MakeRunner,
    jobs: Jobs,
    store: UnreliableStore,
) -> None:
    """
    An outcome is offered until the store takes it; one that it took without
    being heard is not taken for somebody else's (40).
    """
    store.breaks = outage = Outage(target, when, times=3)

    found, record = jobs.run(make_runner(), pipeline, "x")

    assert outcome is found
    assert target is record.status
    assert 4 == outage.hits


@pytest.mark.parametrize("when", ["before", "after"])
def test_outage_at_the_commit_of_a_training(
    when: str, make_runner: MakeRunner, jobs: Jobs, store: UnreliableStore, app: FunctionApp
) -> None:
    """
    The outcome of a training is offered until the store takes it, and then published;
    one that the store took without an answer counts as this attempt's (40, 68).
    """
    store.breaks_manifest = outage = Outage(JobStatus.running, when, times=3)

    outcome, record = jobs.run(make_runner(), "train", "x")

    assert RunOutcome.DONE is outcome
    assert (JobStatus.done, 1) == (record.status, record.attempt)
    assert [record.id] == app.published
    assert 4 == outage.hits


@pytest.mark.parametrize("when", ["before", "after"])
def test_outage_after_the_publication(
    when: str,
    make_runner: MakeRunner,
    jobs: Jobs,
    store: UnreliableStore,
    app: FunctionApp,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    If the store does not answer as a published job becomes done, the job is still
    this worker's success, and a later publication makes it done (68).
    """
    store.breaks = Outage(JobStatus.done, when, times=1)

    outcome, record = jobs.run(make_runner(), "train", "x")

    assert RunOutcome.DONE is outcome
    assert (when == "before") is record.is_publishing
    assert "a later tick publishes it" in caplog.text
    settle_publications(store, app.publish)
    assert JobStatus.done is store.get(record.id).status


def test_long_outage_at_the_commit(
    make_runner: MakeRunner,
    jobs: Jobs,
    store: UnreliableStore,
    app: FunctionApp,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    An outcome that cannot be committed in time is given up: nothing is
    published, and the tick settles the job as lost (40).
    """
    runner = make_runner(commit_patience=0.3)
    store.breaks_manifest = Outage(JobStatus.running, "before", seconds=60)

    outcome, record = jobs.run(runner, "train", 1)

    assert RunOutcome.STALE is outcome
    assert JobStatus.running is record.status
    assert [] == app.published
    assert "left to be settled as lost" in caplog.text


def test_abort_ends_the_patience(
    make_runner: MakeRunner, jobs: Jobs, store: UnreliableStore
) -> None:
    """
    A worker that must stop now does not wait for a store.
    """
    runner = make_runner()
    outage = Outage(JobStatus.done, "before", seconds=60)

    def breaks(when: str, target: JobStatus) -> bool:
        broken = outage(when, target)
        if broken:
            runner.abort()
        return broken

    store.breaks = breaks
    begin = time.monotonic()

    outcome, _ = jobs.run(runner, "echo", 1)

    assert RunOutcome.STALE is outcome
    assert time.monotonic() - begin < 5


def test_lost_answer_to_a_hand_back(
    make_runner: MakeRunner, jobs: Jobs, store: UnreliableStore, app: FunctionApp
) -> None:
    """
    A job whose hand-back was not heard is handed back once.
    """
    store.breaks = Outage(JobStatus.deferred, "after", times=1)

    outcome, record = jobs.run(make_runner(), "missing")

    assert RunOutcome.HANDED_BACK is outcome
    assert (JobStatus.deferred, Reason.UNKNOWN_PIPELINE, 0) == (
        record.status,
        record.reason,
        record.attempt,
    )


def test_claim_that_fails_is_the_callers(
    make_runner: MakeRunner, jobs: Jobs, store: UnreliableStore
) -> None:
    """
    A job that cannot be claimed stays in the queue, and the caller hears why.
    """
    job_id = jobs.submit("echo", 1)
    store.breaks = Outage(JobStatus.running, "before", times=1)

    with pytest.raises(StoreUnavailable, match="does not answer"):
        make_runner().run(job_id)

    assert JobStatus.queued is store.get(job_id).status


def test_other_attempts_commit_is_no_lost_answer(
    make_runner: MakeRunner, jobs: Jobs, store: UnreliableStore
) -> None:
    """
    After a lost answer, what another attempt wrote is not taken for one's own.
    """
    runner = make_runner()
    job_id = jobs.submit("echo", 1, max_attempts=2)
    old = lifecycle.claim(store, job_id, worker="worker-1", lease=60)
    assert old is not None
    lifecycle.release(store, old, reason=Reason.WORKER_STOPPED)
    new = lifecycle.claim(store, job_id, worker="worker-2", lease=60)
    assert new is not None
    lifecycle.complete(store, new, value_json="2")
    store.breaks = Outage(JobStatus.done, "before", times=1)

    assert RunOutcome.STALE is runner.run_claimed(old)
    with pytest.raises(StaleAttempt):
        lifecycle.complete(store, old, value_json="1")
    assert 2 == store.get(job_id).value
