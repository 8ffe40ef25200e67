"""
A store that is its own queue: who gets which job next.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from chariots_core.jobs.lifecycle import complete, fail
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs.store import JobQuery, JobStore, QueueJobStore
from chariots_core.testing.job_store_contract.harness import StoreHarness, StoreTests, queued


def take(
    store: JobStore, queues: Sequence[str] = ("default",), backend: str = "b", worker: str = "w"
) -> JobRecord | None:
    """
    The next job, claimed.
    """
    assert isinstance(store, QueueJobStore)
    return store.claim_next(backend=backend, queues=queues, worker=worker, lease=30.0)


def taken(store: JobStore, queues: Sequence[str] = ("default",)) -> list[str]:
    """
    The ids of all that can be taken, in order.
    """
    ids = []
    while (record := take(store, queues)) is not None:
        ids.append(record.id)
    return ids


class QueueJobStoreContract(StoreTests):
    """
    The next job is found and claimed in one step.
    """

    def test_claim_of_the_next(self, store: JobStore) -> None:
        """
        The next job comes as a claim of it would: running, counted, with its input.
        """
        queued(store)
        record = take(store, worker="me")

        assert record is not None
        assert (JobStatus.running, 1, 1, "me", "[1]") == (
            record.status,
            record.attempt,
            record.token,
            record.worker,
            record.input_json,
        )
        assert record.lease_until is not None
        assert record == store.get(record.id)
        assert [JobStatus.queued, JobStatus.running] == [
            event.status for event in store.events(record.id)
        ]

    def test_nothing_to_take(self, store: JobStore) -> None:
        """
        An empty queue gives nothing, and a job that comes afterwards is found.
        """
        assert [None, None] == [take(store), take(store)]
        record = queued(store)
        assert [record.id] == taken(store)

    def test_order(self, store: JobStore) -> None:
        """
        (56) The highest priority comes first, and equal ones in order of submission.
        """
        ids = {p: [queued(store, priority=p).id for _ in range(3)] for p in (0, 5, -1)}

        assert [*ids[5], *ids[0], *ids[-1]] == taken(store)

    def test_order_over_queues(self, store: JobStore) -> None:
        """
        (56) Priority and order of submission count over all the queues of a worker.
        """
        first = queued(store, queue="a")
        second = queued(store, queue="b")
        urgent = queued(store, queue="b", priority=1)
        third = queued(store, queue="a")

        assert [urgent.id, first.id, second.id, third.id] == taken(store, ("a", "b"))

    def test_own_queues_only(self, store: JobStore) -> None:
        """
        (56) A worker takes jobs of its queues and of its backend only.
        """
        mine = queued(store, queue="a")
        queued(store, queue="b")
        queued(store, queue="a", backend="other")

        assert [] == taken(store, ())
        assert [mine.id] == taken(store, ("a",))

    def test_own_app_only(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (70) A worker of one app never gets a job of another, though the queues agree.
        """
        queued(store)

        assert [] == taken(harness.open("other"))

    def test_not_startable(self, harness: StoreHarness, store: JobStore) -> None:
        """
        A job that waits, or whose time in the queue is over, is passed over.
        """
        queued(store, queue_timeout=5.0, priority=9)
        queued(store, delay=100.0, priority=9)
        harness.advance(6.0)
        ready = queued(store)

        assert [ready.id] == taken(store)

    def test_retry_keeps_its_place(self, store: JobStore) -> None:
        """
        A job that is tried again comes before those that were submitted after it.
        """
        first = queued(store, max_attempts=2)
        second = queued(store)
        record = take(store)
        assert record is not None
        fail(store, record, reason="r", retryable=True)

        assert [first.id, second.id] == taken(store)

    @pytest.mark.parametrize("own", [False, True], ids=["one handle", "own handles"])
    def test_each_job_once(self, harness: StoreHarness, own: bool) -> None:
        """
        (29) Many workers take every job, and each job once.
        """
        store = harness.open("app")
        ids = [queued(store).id for _ in range(100)]
        handles = [harness.open("app") if own else store for _ in range(8)]

        def work(n: int) -> list[str]:
            done = []
            while (record := take(handles[n], worker=f"w{n}")) is not None:
                complete(handles[n], record, value_json="1")
                done.append(record.id)
            return done

        with ThreadPoolExecutor(8) as pool:
            shares = list(pool.map(work, range(8)))

        assert sorted(ids) == sorted(job_id for share in shares for job_id in share)
        records = store.list_jobs(JobQuery(limit=1000))
        assert {(JobStatus.done, 1)} == {(record.status, record.attempt) for record in records}
