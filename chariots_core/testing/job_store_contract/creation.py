"""
Submission: what is written first, and what a repeated request gets.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from chariots_core.errors import IdempotencyMismatch
from chariots_core.jobs.lifecycle import claim, fail, not_submitted, request_cancel
from chariots_core.jobs.record import JobError
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import IdempotencyKey, JobQuery, JobStore
from chariots_core.testing.job_store_contract.harness import (
    StoreHarness,
    StoreTests,
    near,
    new_job,
    queued,
    told,
)


class CreationContract(StoreTests):
    """
    A request makes one job.
    """

    def test_new_job_is_queued(self, store: JobStore) -> None:
        """
        (9) A new job reads as queued at once, with what was asked and the store's times.
        """
        job = new_job(
            queue="q",
            priority=3,
            max_attempts=4,
            retry_delay=1.5,
            timeout=9.0,
            queue_timeout=60.0,
            result_ttl=100.0,
            resend_after=5.0,
            input_ref="ref",
        )
        record = store.create(job).record

        asked = ("id", "pipeline", "backend", "queue", "priority", "max_attempts", "retry_delay",
                 "timeout", "queue_timeout", "result_ttl", "resend_after", "input_json",
                 "input_ref")  # fmt: skip
        assert {name: getattr(job, name) for name in asked} == {
            name: getattr(record, name) for name in asked
        }
        assert (JobStatus.queued, None, "app") == (record.status, record.reason, record.app)
        assert (0, 0, 1, False) == (
            record.attempt,
            record.token,
            record.generation,
            record.cancel_requested,
        )
        assert record.queued_at is not None
        assert record.queued_at - record.created_at < timedelta(seconds=1)
        assert record.queue_expires_at is not None
        assert near(60.0, (record.queue_expires_at - record.created_at).total_seconds())
        assert record.resend_at is not None
        assert near(5.0, (record.resend_at - record.created_at).total_seconds())

    def test_answer_is_the_record(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (12, 13) Any handle reads what the creation returned, as often as it likes.
        """
        record = store.create(new_job()).record

        other = harness.open("app")
        assert [record, record, record] == [store.get(record.id), *(
            other.get(record.id) for _ in range(2)
        )]  # fmt: skip

    def test_delayed_job_is_deferred(self, store: JobStore) -> None:
        """
        A job with a delay is deferred and scheduled, and has not been handed over.
        """
        record = store.create(new_job(delay=50.0, queue_timeout=10.0, resend_after=5.0)).record

        assert (JobStatus.deferred, Reason.SCHEDULED) == (record.status, record.reason)
        assert (0, None, None) == (record.generation, record.queued_at, record.resend_at)
        assert record.due_at is not None
        assert record.queue_expires_at is not None
        assert near(50.0, (record.due_at - record.created_at).total_seconds())
        assert near(60.0, (record.queue_expires_at - record.created_at).total_seconds())

    def test_times_without_end(self, store: JobStore) -> None:
        """
        A job may wait, and be kept, for longer than any calendar goes.
        """
        record = store.create(
            new_job(delay=1e15, queue_timeout=1e15, resend_after=1e15, result_ttl=1e15)
        ).record

        assert record == store.get(record.id)
        assert record.due_at is not None
        assert record.due_at.year > 9000
        assert JobStatus.failed is request_cancel(store, record.id).status

    def test_creation_is_an_event(self, store: JobStore) -> None:
        """
        The first event of a job is its creation.
        """
        record = queued(store)

        assert [("state", JobStatus.queued, None, 0)] == told(store, record.id)

    def test_order_of_submission(self, store: JobStore) -> None:
        """
        The running number grows with every job.
        """
        numbers = [queued(store).seq for _ in range(5)]

        assert sorted(set(numbers)) == numbers

    def test_same_id_twice(self, store: JobStore) -> None:
        """
        (16) The same request under the same id makes one job.
        """
        job = new_job()
        first, second = store.create(job), store.create(job)

        assert (False, True) == (first.replayed, second.replayed)
        assert first.record == second.record
        assert 1 == len(store.events(job.id))

    def test_same_id_after_the_job_has_moved_on(self, store: JobStore) -> None:
        """
        A repeated submission returns the job as it is now.
        """
        job = new_job()
        store.create(job)
        running = claim(store, job.id, worker="w", lease=10.0)

        assert running == store.create(job).record

    @pytest.mark.parametrize(
        "other",
        [
            {"pipeline": "q"},
            {"input_json": "[2]"},
            {"input_ref": "r"},
            {"priority": 1},
            {"queue": "z"},
            {"max_attempts": 2},
            {"retry_delay": 1.0},
            {"timeout": 1.0},
            {"queue_timeout": 1.0},
            {"result_ttl": 1.0},
        ],
        ids=lambda other: next(iter(other)),
    )
    def test_same_id_for_another_request(self, store: JobStore, other: dict[str, Any]) -> None:
        """
        An id that names another request is refused, and the first job stays.
        """
        record = queued(store)

        with pytest.raises(IdempotencyMismatch, match=record.id):
            store.create(new_job(id=record.id, **other))
        assert record == store.get(record.id)

    @pytest.mark.parametrize(
        "other",
        [{"backend": "c"}, {"resend_after": 9.0}, {"delay": 9.0}],
        ids=lambda other: next(iter(other)),
    )
    def test_same_id_from_another_deployment(self, store: JobStore, other: dict[str, Any]) -> None:
        """
        What a deployment decides, and when a job was to begin, make no other request.
        """
        record = queued(store)
        again = store.create(new_job(id=record.id, **other))

        assert (True, record) == (again.replayed, again.record)

    def test_equal_inputs_are_two_jobs(self, store: JobStore) -> None:
        """
        (15) Two submissions of one input are two jobs.
        """
        assert queued(store).id != queued(store).id

    def test_idempotency_key(self, store: JobStore) -> None:
        """
        A key that comes back with the same request returns the first job.
        """
        key = IdempotencyKey(key="k", digest="d")
        first = store.create(new_job(), idempotency=key)
        second = store.create(new_job(), idempotency=key)

        assert (False, True) == (first.replayed, second.replayed)
        assert first.record == second.record
        assert 1 == len(store.list_jobs(JobQuery()))

    def test_idempotency_key_for_another_request(self, store: JobStore) -> None:
        """
        A key that comes back with another request is refused by its name.
        """
        store.create(new_job(), idempotency=IdempotencyKey(key="k", digest="d"))

        with pytest.raises(IdempotencyMismatch, match="'k'"):
            store.create(new_job(), idempotency=IdempotencyKey(key="k", digest="e"))
        assert 1 == len(store.list_jobs(JobQuery()))

    def test_idempotency_key_of_another_app(self, harness: StoreHarness, store: JobStore) -> None:
        """
        Two apps may use one key for two requests.
        """
        key = IdempotencyKey(key="k", digest="d")
        first = store.create(new_job(), idempotency=key)
        second = harness.open("other").create(new_job(), idempotency=key)

        assert (False, False) == (first.replayed, second.replayed)

    # -- names that are free again

    @pytest.mark.parametrize("digest", ["d", "e"], ids=["same request", "another request"])
    def test_key_of_a_job_that_was_not_submitted(self, store: JobStore, digest: str) -> None:
        """
        (17) Whoever was told that a job was not submitted may ask again under its key.
        """
        first = store.create(new_job(), idempotency=IdempotencyKey(key="k", digest="d")).record
        refused = not_submitted(store, first, JobError(type="BrokerUnavailable", message="down"))
        key = IdempotencyKey(key="k", digest=digest)
        second = store.create(new_job(), idempotency=key)
        third = store.create(new_job(), idempotency=key)

        assert (False, JobStatus.queued) == (second.replayed, second.record.status)
        assert (True, second.record) == (third.replayed, third.record)
        assert refused == store.get(first.id)
        assert 2 == len(store.events(first.id))

    def test_id_of_a_job_that_was_not_submitted(self, store: JobStore) -> None:
        """
        (17) Whoever was told that a job was not submitted may ask again under its id.
        """
        job = new_job()
        not_submitted(store, store.create(job).record)
        second = store.create(job)

        assert (False, JobStatus.queued) == (second.replayed, second.record.status)
        assert second.record == store.get(job.id)
        assert [("state", JobStatus.queued, None, 0)] == told(store, job.id)
        assert 1 == len(store.list_jobs(JobQuery()))
        assert (True, second.record) == (store.create(job).replayed, store.create(job).record)

    def test_id_and_key_of_two_jobs_that_were_not_submitted(self, store: JobStore) -> None:
        """
        A job may take its id from one that was not submitted, and its key from another.
        """
        key = IdempotencyKey(key="k", digest="d")
        named, keyed = queued(store), store.create(new_job(), idempotency=key).record
        for record in (named, keyed):
            not_submitted(store, record)
        again = store.create(new_job(id=named.id), idempotency=key)

        assert (False, named.id) == (again.replayed, again.record.id)
        assert {named.id, keyed.id} == {record.id for record in store.list_jobs(JobQuery())}

    def test_name_of_a_job_that_failed_otherwise(self, store: JobStore) -> None:
        """
        A job that ran and failed keeps its id and its key: it was done once.
        """
        key = IdempotencyKey(key="k", digest="d")
        job = new_job()
        record = store.create(job, idempotency=key).record
        running = claim(store, record.id, worker="w", lease=9.0)
        assert running is not None
        failed = fail(store, running, reason=Reason.USER_ERROR, retryable=False)

        assert failed == store.create(job).record
        assert failed == store.create(new_job(), idempotency=key).record

    def test_events_of_a_job_whose_id_is_used_again(
        self, harness: StoreHarness, store: JobStore
    ) -> None:
        """
        A job with the id of a forgotten one does not show the other's events.
        """
        record = queued(store, result_ttl=1.0)
        request_cancel(store, record.id)
        harness.advance(2.0)
        queued(store, id=record.id)

        assert [("state", JobStatus.queued, None, 0)] == told(store, record.id)
