"""
The end of a job that did not come from its attempt; and what comes after the end.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chariots_core.errors import JobNotFound, StaleAttempt
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
from chariots_core.jobs.record import JobError, JobRecord
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import JobQuery, JobStore
from chariots_core.testing.job_store_contract.harness import (
    StoreTests,
    near,
    queued,
    started,
    together,
    told,
    trained,
    trained_before,
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
        (68) A job that trained something is done once its publication is noted, which
        happens once, and only for what trained something.
        """
        committed = trained(store, result_ttl=60.0)
        plain = complete(store, started(store), value_json="1")
        first = mark_published(store, committed)
        second = mark_published(store, committed)

        assert first is not None
        assert (JobStatus.done, None, "1", False) == (
            first.status,
            first.reason,
            first.value_json,
            first.is_unpublished,
        )
        assert first.published_at is not None
        assert first.finished_at is not None
        assert first.expires_at is not None
        assert near(0.0, (first.finished_at - first.published_at).total_seconds())
        assert near(60.0, (first.expires_at - first.published_at).total_seconds())
        assert (None, None) == (first.resend_at, first.queue_expires_at)
        assert second is None
        assert first == store.get(committed.id)
        running, done = JobStatus.running, JobStatus.done
        assert [
            ("state", JobStatus.queued, None, 0),
            ("state", running, None, 1),
            ("publishing", running, Reason.PUBLISHING, 1),
            ("state", done, None, 1),
        ] == told(store, committed.id)
        assert mark_published(store, plain) is None

    def test_outcome_is_not_shown_before_its_models(self, store: JobStore) -> None:
        """
        (68) Until its models are published a job reads running, for a look-up and in
        every list, and shows neither value nor versions.
        """
        record = started(store)
        committed = complete(
            store, record, value_json="1", versions={"n": "1.2.3"}, manifest_json="{}"
        )
        read = store.get(committed.id)
        (listed,) = store.list_jobs(JobQuery(status=JobStatus.running))

        assert committed == read
        assert (JobStatus.running, Reason.PUBLISHING) == (read.status, read.reason)
        assert (None, None, None) == (read.finished_at, read.expires_at, read.lease_until)
        assert (None, None, {}) == (read.value, read.shown.value_json, read.shown.versions)
        assert (None, {}) == (listed.value, listed.shown.versions)
        assert [] == list(store.list_jobs(JobQuery(status=JobStatus.done)))
        assert 1 == store.counts()[JobStatus.running]
        done = mark_published(store, read)
        assert done is not None
        assert (1, {"n": "1.2.3"}) == (done.shown.value, done.shown.versions)

    def test_committed_outcome_is_decided(self, store: JobStore) -> None:
        """
        (52, 68) Once an outcome is committed, neither its own attempt nor a request to
        cancel changes it, though its models are still to be published.
        """
        record = started(store, max_attempts=3)
        committed = complete(store, record, value_json="1", manifest_json="{}")
        late: list[Callable[[JobRecord], object]] = [
            lambda held: renew(store, held, lease=9.0),
            lambda held: complete(store, held, value_json="2"),
            lambda held: complete(store, held, value_json="2", manifest_json="{}"),
            lambda held: fail(store, held, reason=Reason.TIMEOUT, retryable=True),
            lambda held: release(store, held, reason=Reason.WORKER_STOPPED),
        ]
        for change in late:
            with pytest.raises(StaleAttempt):
                change(record)
        with pytest.raises(StaleAttempt):
            release(store, committed, reason=Reason.WORKER_STOPPED)
        with pytest.raises(StaleAttempt):
            fail(store, committed, reason=Reason.TIMEOUT, retryable=True)

        assert committed == request_cancel(store, committed.id) == store.get(committed.id)
        assert claim(store, committed.id, worker="w2", lease=9.0) is None
        assert 3 == len(store.events(committed.id))

    def test_outcome_that_a_cancel_comes_before(self, store: JobStore) -> None:
        """
        A training that was asked to end and finished is done once it is published.
        """
        record = started(store)
        request_cancel(store, record.id)
        committed = complete(store, record, value_json="1", manifest_json="{}")
        done = mark_published(store, committed)

        assert done is not None
        assert (JobStatus.done, True) == (done.status, done.cancel_requested)

    def test_publication_and_cancel_at_the_same_moment(self, store: JobStore) -> None:
        """
        Of a commit, its publication and requests to cancel at the same moment the
        outcome is the commit's, whole.
        """
        for _ in range(5):
            record = started(store)

            def act(n: int, record: JobRecord = record) -> object:
                if n:
                    return request_cancel(store, record.id)
                committed = complete(store, record, value_json="1", manifest_json="{}")
                return mark_published(store, committed)

            together(3, act)

            done = store.get(record.id)
            assert (JobStatus.done, "1") == (done.status, done.value_json)

    def test_publication_of_an_older_release(self, store: JobStore) -> None:
        """
        (68) A job that an older release left done and unpublished is marked once.
        """
        older = trained_before(store)
        first = mark_published(store, older)
        second = mark_published(store, older)

        assert first is not None
        assert (True, False) == (older.is_unpublished, first.is_unpublished)
        assert (older.finished_at, "1") == (first.finished_at, first.value_json)
        assert second is None
        assert ["state", "state", "state", "published"] == [
            event.kind for event in store.events(older.id)
        ]
