"""
Attempts that went wrong or were handed back, and what the next one begins with.
"""

from __future__ import annotations

import pytest

from chariots_core.errors import StaleAttempt
from chariots_core.jobs.changes import Guard
from chariots_core.jobs.lifecycle import claim, complete, fail, release, renew
from chariots_core.jobs.record import JobError, JobRecord, Progress
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import JobStore
from chariots_core.testing.job_store_contract.harness import StoreHarness, StoreTests, started

ERROR = JobError(type="KeyError", message="'x'", node="n", traceback="tb")


class RetryContract(StoreTests):
    """
    A job whose attempt did not end it is as good as new, but for what is counted.
    """

    # -- failures

    def test_failure(self, store: JobStore) -> None:
        """
        (21) A job of one attempt fails with the reason and the error that it met.
        """
        failed = fail(
            store, started(store), reason=Reason.USER_ERROR, error=ERROR, retryable=True, output="x"
        )

        assert (JobStatus.failed, Reason.USER_ERROR, ERROR, 1) == (
            failed.status,
            failed.reason,
            failed.error,
            failed.attempt,
        )
        assert failed.finished_at is not None
        assert failed.expires_at is not None
        assert failed == store.get(failed.id)
        assert ["state", "state", "output", "state"] == [
            event.kind for event in store.events(failed.id)
        ]

    def test_retry_at_once(self, store: JobStore) -> None:
        """
        A retry without delay is queued again, as a new hand-over, and keeps the error.
        """
        first = started(store, max_attempts=2, resend_after=5.0)
        retried = fail(store, first, reason=Reason.USER_ERROR, error=ERROR, retryable=True)

        assert (JobStatus.queued, Reason.RETRYING, ERROR, 1, 2) == (
            retried.status,
            retried.reason,
            retried.error,
            retried.attempt,
            retried.generation,
        )
        assert retried.resend_at is not None
        assert (None, None) == (retried.lease_until, retried.finished_at)
        second = claim(store, first.id, worker="w2", lease=9.0)
        assert second is not None
        assert (2, 2, None, None) == (
            second.attempt,
            second.token,
            second.reason,
            second.progress,
        )
        assert complete(store, second, value_json="1").error is None

    def test_retry_with_backoff(self, store: JobStore) -> None:
        """
        (54) Retries wait as deferred, each twice as long as the one before.
        """
        record = started(store, max_attempts=3, retry_delay=10.0)
        waits = []
        for _ in range(2):
            deferred = fail(store, record, reason=Reason.USER_ERROR, retryable=True)
            assert (JobStatus.deferred, Reason.RETRYING) == (deferred.status, deferred.reason)
            assert deferred.due_at is not None
            waits.append(round((deferred.due_at - store.now()).total_seconds()))
            store.compare_and_set(
                Guard(job_id=record.id, status=JobStatus.deferred), JobStatus.queued
            )
            again = claim(store, record.id, worker="w", lease=9.0)
            assert again is not None
            record = again
        last = fail(store, record, reason=Reason.USER_ERROR, error=ERROR, retryable=True)

        assert [10, 20] == waits
        assert (JobStatus.failed, Reason.USER_ERROR, ERROR, 3) == (
            last.status,
            last.reason,
            last.error,
            last.attempt,
        )

    def test_not_retryable(self, store: JobStore) -> None:
        """
        (54) A failure that trying again cannot cure is final at once.
        """
        failed = fail(store, started(store, max_attempts=3), reason="r", retryable=False)

        assert (JobStatus.failed, "r", 1) == (failed.status, failed.reason, failed.attempt)

    @pytest.mark.parametrize(
        ("max_attempts", "reason"), [(1, Reason.WORKER_LOST), (2, Reason.ATTEMPTS_EXHAUSTED)]
    )
    def test_lost_workers(self, store: JobStore, max_attempts: int, reason: str) -> None:
        """
        (30, 33) The last lost worker fails the job; several attempts are then exhausted.
        """
        record = started(store, max_attempts=max_attempts)
        for _ in range(max_attempts - 1):
            fail(store, record, reason=Reason.WORKER_LOST, retryable=True)
            again = claim(store, record.id, worker="w", lease=9.0)
            assert again is not None
            record = again
        last = fail(store, record, reason=Reason.WORKER_LOST, retryable=True)

        assert (JobStatus.failed, reason) == (last.status, last.reason)

    def test_time_in_the_queue_of_a_retry(self, harness: StoreHarness, store: JobStore) -> None:
        """
        A retry has its time in the queue anew: a long first attempt does not use it up.
        """
        record = started(store, max_attempts=2, queue_timeout=10.0)
        harness.advance(100.0)
        fail(store, record, reason=Reason.TIMEOUT, retryable=True)

        assert claim(store, record.id, worker="w", lease=9.0) is not None

    @pytest.mark.parametrize("delay", [0.0, 10.0], ids=["queued", "deferred"])
    @pytest.mark.parametrize("how", ["fail", "release"])
    def test_nothing_is_left_of_the_attempt_before(
        self, store: JobStore, how: str, delay: float
    ) -> None:
        """
        (58) A job that waits again shows no worker, no progress and no start.
        """
        record = started(store, max_attempts=2, retry_delay=delay)
        record = renew(store, record, lease=9.0, progress=Progress(done=1, total=2))
        if how == "fail":
            waiting = fail(store, record, reason=Reason.USER_ERROR, retryable=True)
        else:
            waiting = release(store, record, reason=Reason.WORKER_STOPPED, delay=delay)

        assert not waiting.status.is_final
        assert waiting == store.get(record.id)
        assert _shown(waiting) == (None, None, None)

    def test_the_end_shows_the_last_attempt(self, store: JobStore) -> None:
        """
        (58) A job that failed shows who ran it, since when, and how far it came.
        """
        record = renew(store, started(store), lease=9.0, progress=Progress(done=1))
        failed = fail(store, record, reason=Reason.USER_ERROR, retryable=False)

        assert ("w1", record.started_at, Progress(done=1)) == _shown(failed)

    # -- handing back

    def test_release(self, store: JobStore) -> None:
        """
        (47) A job that is handed back is queued at once, and its attempt does not count.
        """
        record = started(store)
        released = release(store, record, reason=Reason.WORKER_STOPPED)

        assert (JobStatus.queued, Reason.WORKER_STOPPED, 0, 2, None) == (
            released.status,
            released.reason,
            released.attempt,
            released.generation,
            released.lease_until,
        )
        again = claim(store, record.id, worker="w2", lease=9.0)
        assert again is not None
        assert (1, 2) == (again.attempt, again.token)
        with pytest.raises(StaleAttempt):
            complete(store, record, value_json="1")

    def test_release_with_delay(self, store: JobStore) -> None:
        """
        (26) A worker that does not know the pipeline hands the job back for later,
        and its time in the queue goes on.
        """
        record = started(store, queue_timeout=60.0)
        released = release(store, record, reason=Reason.UNKNOWN_PIPELINE, delay=5.0, error=ERROR)

        assert (JobStatus.deferred, Reason.UNKNOWN_PIPELINE, 0, ERROR) == (
            released.status,
            released.reason,
            released.attempt,
            released.error,
        )
        assert record.queue_expires_at == released.queue_expires_at
        assert released.due_at is not None
        assert 4.0 < (released.due_at - store.now()).total_seconds() <= 5.0


def _shown(record: JobRecord) -> tuple[object, object, object]:
    return record.worker, record.started_at, record.progress
