"""
What time does: conditions, what is due, and what is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from chariots_core.errors import JobNotFound
from chariots_core.jobs.changes import FromNow, Guard, When
from chariots_core.jobs.lifecycle import claim, complete, fail, mark_published
from chariots_core.jobs.outcomes import PUBLISH_AFTER
from chariots_core.jobs.record import JobRecord, WorkerRecord
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs.store import IdempotencyKey, JobQuery, JobStore
from chariots_core.jobs.waking import wake_at
from chariots_core.testing.job_store_contract.harness import (
    StoreHarness,
    StoreTests,
    new_job,
    queued,
    started,
    trained,
    trained_before,
)

#: Each condition of time: a job for which it holds after ten seconds, not before.
CONDITIONS: dict[When, Callable[[JobStore], JobRecord]] = {
    When.lease_expired: lambda store: started(store, lease=10.0),
    When.due: lambda store: queued(store, delay=10.0),
    When.resend_due: lambda store: queued(store, resend_after=10.0),
    When.queue_expired: lambda store: queued(store, queue_timeout=10.0),
}


class TimeContract(StoreTests):
    """
    Time is the store's own, and nothing is early.
    """

    def test_clock(self, harness: StoreHarness, store: JobStore) -> None:
        """
        The store's clock is aware, near this machine's, and moves on.
        """
        first = store.now()
        harness.advance(3600.0)

        assert timedelta(0) == first.utcoffset()
        assert abs(datetime.now(UTC) - first) < timedelta(seconds=60)
        assert timedelta(seconds=3600) <= store.now() - first < timedelta(seconds=3660)

    @pytest.mark.parametrize("when", CONDITIONS, ids=lambda when: when.name)
    def test_condition_of_time(self, harness: StoreHarness, store: JobStore, when: When) -> None:
        """
        A guard with a condition of time holds from that time on, and not before.
        """
        record = CONDITIONS[when](store)
        guard = Guard(job_id=record.id, status=record.status, when=when)
        harness.advance(8.0)
        early = store.compare_and_set(guard, JobStatus.failed)
        harness.advance(2.1)

        assert early is None
        assert store.compare_and_set(guard, JobStatus.failed) is not None

    @pytest.mark.parametrize("when", CONDITIONS, ids=lambda when: when.name)
    def test_due(self, harness: StoreHarness, store: JobStore, when: When) -> None:
        """
        (69) A job is due from its time on, in the list of all and when asked for alone.
        """
        record = CONDITIONS[when](store)
        bystander = queued(store)
        harness.advance(8.0)
        early = (*store.due(), *store.due(job_id=record.id))
        harness.advance(2.1)

        assert () == early
        assert [record.id] == [found.id for found in store.due()]
        assert [record.id] == [found.id for found in store.due(job_id=record.id)]
        assert [] == list(store.due(job_id=bystander.id))

    @pytest.mark.parametrize("when", CONDITIONS, ids=lambda when: when.name)
    def test_settled_is_not_due(self, harness: StoreHarness, store: JobStore, when: When) -> None:
        """
        A job that is over is due for nothing any more.
        """
        record = CONDITIONS[when](store)
        harness.advance(11.0)
        store.compare_and_set(
            Guard(job_id=record.id, status=record.status), JobStatus.failed, {"reason": "r"}
        )

        assert [] == list(store.due())

    def test_startable(self, harness: StoreHarness, store: JobStore) -> None:
        """
        A job cannot be claimed once its time in the queue is over.
        """
        in_time, too_late = (queued(store, queue_timeout=10.0) for _ in range(2))
        harness.advance(8.0)
        first = claim(store, in_time.id, worker="w", lease=30.0)
        harness.advance(2.1)

        assert first is not None
        assert claim(store, too_late.id, worker="w", lease=30.0) is None

    def test_unpublished_is_due(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (68) A job that trained something is due a moment after its commit, with its
        manifest, until it is marked as published; its old lease does not matter.
        """
        committed = trained(store, lease=0.5)
        early = (*store.due(), *store.due(job_id=committed.id))
        harness.advance(PUBLISH_AFTER + 0.1)
        found = (*store.due(), *store.due(job_id=committed.id))
        mark_published(store, committed)

        assert () == early
        assert [(committed.id, '{"m":1}')] * 2 == [
            (record.id, record.manifest_json) for record in found
        ]
        assert [] == list(store.due())
        assert [] == list(store.due(job_id=committed.id))

    def test_unpublished_of_an_older_release_is_due(self, store: JobStore) -> None:
        """
        (68) A job that an older release left done and unpublished is due at once.
        """
        older = trained_before(store)
        found = store.due()
        mark_published(store, older)

        assert [(older.id, '{"m":1}')] == [(record.id, record.manifest_json) for record in found]
        assert [] == list(store.due())

    def test_due_is_bounded(self, harness: StoreHarness, store: JobStore) -> None:
        """
        No more jobs are returned than asked for, the longest due first.
        """
        ids = []
        for _ in range(3):
            ids.append(started(store, lease=1.0).id)
            harness.advance(1.0)
        harness.advance(1.0)

        assert ids[:2] == [found.id for found in store.due(limit=2)]

    def test_due_is_in_the_order_of_waking(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (69) A job is due from `wake_at` of its record on, whatever it waits for, and
        those that have waited longest come first, the queued ones after the others.
        """
        records = [
            queued(store, resend_after=60.0),
            started(store, lease=40.0),
            queued(store, delay=10.0, queue_timeout=40.0),
            queued(store, resend_after=80.0, queue_timeout=30.0),
            trained_before(store),
            queued(store, delay=20.0),
            complete(store, started(store), value_json="1"),
            queued(store),
            trained(store),
        ]
        # When the last one is tried next lies between the leases and times of the others.
        guard = Guard(job_id=records[8].id, status=JobStatus.running, when=When.unpublished)
        store.compare_and_set(guard, None, {"resend_at": FromNow(25.0)})
        waking = [records[n].id for n in (4, 2, 5, 8, 3, 1, 0)]
        for count in (1, 2, 3, 5, 6, 7, 7):
            due = store.due()
            queued_ids = {records[n].id for n in (0, 3)}
            expected = sorted(waking[:count], key=queued_ids.__contains__)
            assert expected == [record.id for record in due]
            waits = {record.id: wake_at(store.get(record.id)) for record in records}
            now = store.now()
            assert {
                job_id for job_id, wake in waits.items() if wake is not None and wake <= now
            } == (set(waking[:count]))
            harness.advance(11.0 if count < 6 else 21.0)
        assert [None, None] == [wake_at(store.get(record.id)) for record in records[6:8]]

    def test_lost_workers_do_not_wait_for_the_queue(
        self, harness: StoreHarness, store: JobStore
    ) -> None:
        """
        (69) However many jobs are to be handed over once more, a lost one is among the
        first that are due.
        """
        waiting = [queued(store, resend_after=1.0).id for _ in range(5)]
        lost = started(store, lease=5.0)
        harness.advance(6.0)

        assert [lost.id, *waiting[:2]] == [record.id for record in store.due(limit=3)]

    def test_publication_that_waits_for_its_turn(
        self, harness: StoreHarness, store: JobStore
    ) -> None:
        """
        (68) A job whose publication is put off is not due before, though it is unpublished.
        """
        done = trained(store)
        guard = Guard(job_id=done.id, status=JobStatus.running, when=When.unpublished)
        put_off = store.compare_and_set(guard, None, {"resend_at": FromNow(10.0)})
        early = store.due()
        held = store.compare_and_set(guard)
        harness.advance(10.1)

        assert put_off is not None
        assert put_off == held
        assert put_off.resend_at == wake_at(put_off)
        assert [] == list(early)
        assert [done.id] == [record.id for record in store.due()]

    # -- forgetting

    def test_final_jobs_are_forgotten(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (57) A final job is readable for its time and then not found, with its events.
        """
        done = complete(store, started(store, result_ttl=10.0), value_json="1")
        failed = fail(store, started(store, result_ttl=10.0), reason="r", retryable=False)
        longer = complete(store, started(store, result_ttl=30.0), value_json="1")
        harness.advance(8.0)
        assert 0 == store.expire()
        assert done == store.get(done.id)
        harness.advance(2.1)

        assert 2 == store.expire()
        assert 0 == store.expire()
        for record in (done, failed):
            with pytest.raises(JobNotFound):
                store.get(record.id)
            assert [] == list(store.events(record.id))
        assert longer == store.get(longer.id)
        assert 3 == len(store.events(longer.id))

    def test_forgotten_before_anybody_clears_up(
        self, harness: StoreHarness, store: JobStore
    ) -> None:
        """
        A final job whose time is over is not found, even if nothing has deleted it.
        """
        done = complete(store, started(store, result_ttl=10.0), value_json="1")
        harness.advance(10.1)

        with pytest.raises(JobNotFound):
            store.get(done.id)
        assert [] == list(store.list_jobs(JobQuery()))

    def test_forgetting_is_bounded(self, harness: StoreHarness, store: JobStore) -> None:
        """
        No more jobs are forgotten at once than asked for.
        """
        for _ in range(3):
            complete(store, started(store, result_ttl=1.0), value_json="1")
        harness.advance(2.0)

        assert (2, 1, 0) == (store.expire(limit=2), store.expire(limit=2), store.expire(limit=2))

    def test_unfinished_jobs_are_kept(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (57) A queued, deferred or running job never ends by the time of its result.
        """
        kept = {
            queued(store, result_ttl=1.0).id,
            queued(store, result_ttl=1.0, delay=5.0).id,
            started(store, result_ttl=1.0).id,
        }
        harness.advance(1000.0)

        assert 0 == store.expire()
        assert kept == {record.id for record in store.list_jobs(JobQuery())}

    def test_unpublished_jobs_are_kept(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (68) A job whose models are not published is kept beyond its time.
        """
        committed = trained(store, result_ttl=1.0)
        older = trained_before(store, result_ttl=1.0)
        harness.advance(10.0)

        assert 0 == store.expire()
        assert committed == store.get(committed.id)
        assert older == store.get(older.id)
        mark_published(store, older)
        assert 1 == store.expire()
        mark_published(store, committed)
        assert 0 == store.expire()
        harness.advance(1.1)
        assert 1 == store.expire()

    def test_forgotten_names_are_free(self, harness: StoreHarness, store: JobStore) -> None:
        """
        The id and the key of a forgotten job can be used for another request.
        """
        key = IdempotencyKey(key="k", digest="d")
        first = store.create(new_job(result_ttl=1.0), idempotency=key).record
        running = claim(store, first.id, worker="w", lease=9.0)
        assert running is not None
        complete(store, running, value_json="1")
        harness.advance(2.0)

        again = store.create(new_job(id=first.id, pipeline="q"), idempotency=key)
        assert (False, "q") == (again.replayed, again.record.pipeline)

    def test_dead_workers_are_cleared_up(self, harness: StoreHarness, store: JobStore) -> None:
        """
        Forgetting the dead does not touch workers that live, needs no job to forget,
        and is not counted.
        """
        store.beat(WorkerRecord(id="lives", backend="b"), ttl=10_000.0)
        store.beat(WorkerRecord(id="died", backend="b"), ttl=1.0)
        first = store.workers()[0].started_at
        harness.advance(4000.0)

        assert (0, 0) == (store.expire(), store.expire())
        assert ["lives"] == [worker.id for worker in store.workers()]
        store.beat(WorkerRecord(id="died", backend="b"), ttl=1.0)
        born = {worker.id: worker.started_at for worker in store.workers()}
        assert first == born["lives"]
        assert first is not None
        assert born["died"] is not None
        assert (born["died"] - first).total_seconds() >= 4000.0
