"""
Lists, workers, and the walls between apps.
"""

from __future__ import annotations

from typing import Any

import pytest

from chariots_core.errors import JobNotFound
from chariots_core.jobs.lifecycle import complete
from chariots_core.jobs.record import WorkerRecord
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs.store import (
    JobQuery,
    JobStore,
    NewEvent,
)
from chariots_core.testing.job_store_contract.harness import (
    StoreHarness,
    StoreTests,
    as_it_is,
    near,
    new_job,
    queued,
    started,
)


class ListContract(StoreTests):
    """
    What is asked for is found, and nothing else.
    """

    def test_newest_first(self, store: JobStore) -> None:
        """
        A list has the newest job first, and leaves inputs and results out.
        """
        ids = [queued(store).id for _ in range(3)]
        listed = store.list_jobs(JobQuery())

        assert ids[::-1] == [record.id for record in listed]
        assert [None] * 3 == [record.input_json for record in listed]

    def test_pages(self, store: JobStore) -> None:
        """
        The last number of a page leads to the next one; new jobs shift nothing.
        """
        ids = [queued(store).id for _ in range(5)]
        first = store.list_jobs(JobQuery(limit=2))
        queued(store)
        second = store.list_jobs(JobQuery(limit=2, before_seq=first[-1].seq))
        third = store.list_jobs(JobQuery(limit=2, before_seq=second[-1].seq))

        assert ids[::-1] == [record.id for record in (*first, *second, *third)]

    def test_filters(self, store: JobStore) -> None:
        """
        A list may ask for a status, a pipeline, a backend, and all of them at once.
        """
        one = queued(store, pipeline="one")
        two = queued(store, pipeline="two", backend="c")
        running = started(store, pipeline="one")

        def listed(**query: Any) -> list[str]:
            return [record.id for record in store.list_jobs(JobQuery(**query))]

        assert [running.id, one.id] == listed(pipeline="one")
        assert [two.id] == listed(backend="c")
        assert [running.id] == listed(status=JobStatus.running)
        assert [one.id] == listed(status=JobStatus.queued, pipeline="one", backend="b")
        assert [] == listed(status=JobStatus.done)

    def test_since(self, harness: StoreHarness, store: JobStore) -> None:
        """
        A list may begin at a time, which belongs to it.
        """
        queued(store)
        harness.advance(100.0)
        second = queued(store)
        harness.advance(100.0)
        third = queued(store)

        assert [third.id, second.id] == [
            record.id for record in store.list_jobs(JobQuery(since=second.created_at))
        ]

    def test_counts(self, store: JobStore) -> None:
        """
        The counts are those of the states that are not final.
        """
        queued(store)
        queued(store)
        queued(store, delay=10.0)
        complete(store, started(store), value_json="1")
        started(store)

        assert {JobStatus.queued: 2, JobStatus.running: 1, JobStatus.deferred: 1} == dict(
            store.counts()
        )

    def test_worker_that_beats(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (50) A worker is listed as it last said, until its time is over.
        """
        worker = WorkerRecord(id="w", backend="b", queues=("q", "r"), host="h", pid=7)
        store.beat(worker, ttl=10.0)
        first = store.workers()[0]
        harness.advance(8.0)
        store.beat(
            WorkerRecord(
                id="w", backend="b", queues=("q", "r"), host="h", pid=7, state="busy", job_id="j"
            ),
            ttl=10.0,
        )
        harness.advance(8.0)
        second = store.workers()[0]

        assert ("w", "b", ("q", "r"), "h", 7, "idle", None) == _worker(first)
        assert ("w", "b", ("q", "r"), "h", 7, "busy", "j") == _worker(second)
        assert first.started_at == second.started_at
        assert first.seen_at is not None
        assert second.seen_at is not None
        assert near(8.0, (second.seen_at - first.seen_at).total_seconds())
        harness.advance(2.1)
        assert [] == list(store.workers())

    def test_worker_that_stops(self, harness: StoreHarness, store: JobStore) -> None:
        """
        A worker that stops is gone at once; the others stay, oldest first.
        """
        for name in ("c", "a", "b"):
            store.beat(WorkerRecord(id=name, backend="b"), ttl=30.0)
            harness.advance(1.0)
        store.remove_worker("a")
        store.remove_worker("never seen")

        assert ["c", "b"] == [worker.id for worker in store.workers()]

    def test_apps_never_meet(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (70) An app sees, changes and counts nothing of another in the same database.
        """
        mine = started(store, lease=1.0)
        store.beat(WorkerRecord(id="w", backend="b"), ttl=30.0)
        other = harness.open("other")
        harness.advance(2.0)

        with pytest.raises(JobNotFound):
            other.get(mine.id)
        with pytest.raises(JobNotFound):
            other.append_event(mine.id, NewEvent(kind="note"))
        assert other.compare_and_set(as_it_is(mine), JobStatus.failed) is None
        assert [[], [], [], [], []] == [
            list(found)
            for found in (
                other.list_jobs(JobQuery()),
                other.due(),
                other.due(job_id=mine.id),
                other.events(mine.id),
                other.workers(),
            )
        ]
        assert {0} == set(other.counts().values())
        other.remove_worker("w")
        assert ["w"] == [worker.id for worker in store.workers()]

    def test_one_id_in_two_apps(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (70) Two apps may have jobs of one id.
        """
        mine = started(store)
        other = harness.open("other")
        theirs = other.create(new_job(id=mine.id, input_json="[2]")).record

        assert (mine, theirs) == (store.get(mine.id), other.get(mine.id))
        assert 1 == len(other.events(mine.id))

    def test_close(self, store: JobStore) -> None:
        """
        A store can be closed twice, and connects anew when it is used again.
        """
        record = queued(store)
        store.close()
        store.close()

        store.ping()
        assert record == store.get(record.id)


def _worker(worker: WorkerRecord) -> tuple[Any, ...]:
    return (
        worker.id,
        worker.backend,
        worker.queues,
        worker.host,
        worker.pid,
        worker.state,
        worker.job_id,
    )
