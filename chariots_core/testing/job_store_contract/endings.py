"""
The end of a job that did not come from its attempt; and what comes after the end.
"""

from __future__ import annotations

import pytest

from chariots_core.errors import JobNotFound
from chariots_core.jobs.lifecycle import (
    claim,
    complete,
    fail,
    mark_published,
    not_submitted,
    release,
    renew,
    request_cancel,
)
from chariots_core.jobs.record import JobError
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import JobStore
from chariots_core.testing.job_store_contract.harness import (
    StoreTests,
    queued,
    started,
)

ERROR = JobError(type="OSError", message="refused")


class EndingContract(StoreTests):
    """
    Somebody may ask for a job's end; what a job trained is published after it.
    """

    # -- the end that somebody asked for

    @pytest.mark.parametrize("delay", [0.0, 10.0], ids=["queued", "deferred"])
    def test_cancel_before_the_start(self, store: JobStore, delay: float) -> None:
        """
        (51) A job that has not started fails as cancelled and never runs; twice is once.
        """
        record = queued(store, delay=delay)
        cancelled = request_cancel(store, record.id)

        assert (JobStatus.failed, Reason.CANCELLED, True) == (
            cancelled.status,
            cancelled.reason,
            cancelled.cancel_requested,
        )
        assert claim(store, record.id, worker="w", lease=9.0) is None
        assert cancelled == request_cancel(store, record.id) == store.get(record.id)
        assert 2 == len(store.events(record.id))

    def test_cancel_while_running(self, store: JobStore) -> None:
        """
        (52) A running job is marked once, its worker learns it, and it is not tried again.
        """
        record = started(store, max_attempts=3)
        marked = request_cancel(store, record.id)
        again = request_cancel(store, record.id)

        assert (JobStatus.running, True) == (marked.status, marked.cancel_requested)
        assert marked == again
        assert ["state", "state", "cancel_requested"] == [
            event.kind for event in store.events(record.id)
        ]
        assert renew(store, record, lease=9.0).cancel_requested
        failed = fail(store, record, reason=Reason.USER_ERROR, error=ERROR, retryable=True)
        assert (JobStatus.failed, Reason.USER_ERROR) == (failed.status, failed.reason)

    def test_cancel_of_a_job_that_finishes(self, store: JobStore) -> None:
        """
        A job that was asked to end and finished is done.
        """
        record = started(store)
        request_cancel(store, record.id)

        assert JobStatus.done is complete(store, record, value_json="1").status

    def test_cancel_of_a_job_that_is_handed_back(self, store: JobStore) -> None:
        """
        A job that was asked to end is not queued again by its worker's end.
        """
        record = started(store)
        request_cancel(store, record.id)
        released = release(store, record, reason=Reason.WORKER_STOPPED)

        assert (JobStatus.failed, Reason.CANCELLED) == (released.status, released.reason)

    def test_cancel_of_a_lost_job(self, store: JobStore) -> None:
        """
        A job that was asked to end and lost its worker is cancelled, not tried again.
        """
        record = started(store, max_attempts=3)
        request_cancel(store, record.id)
        lost = fail(store, record, reason=Reason.WORKER_LOST, retryable=True)

        assert (JobStatus.failed, Reason.CANCELLED) == (lost.status, lost.reason)

    def test_cancel_too_late(self, store: JobStore) -> None:
        """
        (51) A job that is over stays as it is.
        """
        done = complete(store, started(store), value_json="1")

        assert done == request_cancel(store, done.id) == store.get(done.id)

    def test_cancel_unknown(self, store: JobStore) -> None:
        """
        An unknown job cannot be cancelled.
        """
        with pytest.raises(JobNotFound):
            request_cancel(store, "nope")

    # -- submission and publication

    def test_not_submitted(self, store: JobStore) -> None:
        """
        (17) A job that the broker refused fails, and says so.
        """
        record = queued(store)
        failed = not_submitted(store, record, ERROR)

        assert (JobStatus.failed, Reason.NOT_SUBMITTED, ERROR) == (
            failed.status,
            failed.reason,
            failed.error,
        )

    def test_not_submitted_but_started(self, store: JobStore) -> None:
        """
        A job that runs in spite of the broker's refusal is left alone.
        """
        record = queued(store)
        running = claim(store, record.id, worker="w", lease=9.0)

        assert running == not_submitted(store, record, ERROR)

    def test_publication(self, store: JobStore) -> None:
        """
        (68) A publication is noted once, and only for what trained something.
        """
        trained = complete(store, started(store), value_json="1", manifest_json="{}")
        plain = complete(store, started(store), value_json="1")
        first = mark_published(store, trained)
        second = mark_published(store, trained)

        assert (True, False) == (trained.is_unpublished, first.is_unpublished)
        assert first.published_at is not None
        assert first == second == store.get(trained.id)
        assert ["state", "state", "state", "published"] == [
            event.kind for event in store.events(trained.id)
        ]
        assert plain == mark_published(store, plain)
