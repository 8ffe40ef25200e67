"""
The life of a job: its attempts, and who may write.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chariots_core.errors import StaleAttempt
from chariots_core.jobs.lifecycle import (
    claim,
    complete,
    fail,
    release,
    renew,
)
from chariots_core.jobs.record import JobRecord, Progress
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import FromNow, Guard, JobStore
from chariots_core.testing.job_store_contract.harness import (
    StoreHarness,
    StoreTests,
    queued,
    started,
)

#: What an attempt may want to write.
WRITES: dict[str, Callable[[JobStore, JobRecord], JobRecord]] = {
    "renew": lambda store, record: renew(store, record, lease=60.0),
    "complete": lambda store, record: complete(store, record, value_json="1"),
    "fail": lambda store, record: fail(store, record, reason="r", retryable=True),
    "release": lambda store, record: release(store, record, reason="r"),
}


class LifecycleContract(StoreTests):
    """
    Every change follows from one event, and only the newest attempt may write.
    """

    # -- attempts

    def test_claim(self, store: JobStore) -> None:
        """
        (18) A claim starts an attempt: it counts, has a worker, a lease, a new token and the input.
        """
        record = queued(store, resend_after=5.0)
        running = claim(store, record.id, worker="w", lease=30.0)

        assert running is not None
        assert (JobStatus.running, 1, 1, "w", None, "[1]") == (
            running.status,
            running.attempt,
            running.token,
            running.worker,
            running.resend_at,
            running.input_json,
        )
        assert running.queued_at is not None
        assert running.started_at is not None
        assert running.lease_until is not None
        assert running.queued_at <= running.started_at
        assert 29.0 < (running.lease_until - running.started_at).total_seconds() < 31.0

    def test_duplicate_message(self, store: JobStore) -> None:
        """
        (16, 35) A job that runs, is over or is not due cannot be claimed again.
        """
        running = started(store)
        deferred = queued(store, delay=10.0)

        def claimed(job_id: str) -> JobRecord | None:
            return claim(store, job_id, worker="w2", lease=30.0)

        assert (None, None) == (claimed(running.id), claimed(deferred.id))
        done = complete(store, running, value_json="1")
        assert claimed(done.id) is None
        assert done == store.get(done.id)

    @pytest.mark.parametrize("job_id", ["nope", "a:b", "", "x" * 10_000], ids=lambda text: text[:5])
    def test_forged_message(self, store: JobStore, job_id: str) -> None:
        """
        (65) A message that names no job starts nothing.
        """
        assert claim(store, job_id, worker="w", lease=30.0) is None

    def test_renewed_lease(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (58) A renewal moves the lease, shows how far the run is, and tells it as an event.
        """
        running = started(store, lease=10.0)
        harness.advance(8.0)
        progress = Progress(done=1, total=4, node="pca")
        renewed = renew(store, running, lease=10.0, progress=progress)
        harness.advance(8.0)

        assert [] == list(store.due())
        assert progress == renewed.progress == store.get(running.id).progress
        event = store.events(running.id)[-1]
        assert ("progress", {"done": 1, "total": 4, "node": "pca"}) == (event.kind, event.data)
        assert 3 == len(store.events(running.id))
        renew(store, running, lease=10.0)
        assert 3 == len(store.events(running.id))

    def test_result(self, store: JobStore) -> None:
        """
        (20) A result is written with its status; progress and worker stay readable.
        """
        running = renew(store, started(store), lease=9.0, progress=Progress(done=1))
        done = complete(
            store, running, value_json='{"a":1}', versions={"n": "1.2.3"}, output="hello\n"
        )

        assert done == store.get(running.id)
        assert (JobStatus.done, None, {"a": 1}, {"n": "1.2.3"}, None) == (
            done.status,
            done.reason,
            done.value,
            done.versions,
            done.error,
        )
        assert (Progress(done=1), "w1", None) == (done.progress, done.worker, done.lease_until)
        assert done.started_at is not None
        assert done.finished_at is not None
        assert done.expires_at is not None
        assert done.started_at <= done.finished_at
        assert 7 * 24 * 3600 - 1 < (done.expires_at - done.finished_at).total_seconds()
        assert ["state", "state", "progress", "output", "state"] == [
            event.kind for event in store.events(done.id)
        ]

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    def test_stale_attempt(
        self, store: JobStore, write: Callable[[JobStore, JobRecord], JobRecord]
    ) -> None:
        """
        (36) An attempt that was given up writes nothing over the one that followed it.
        """
        first = started(store, lease=1.0, max_attempts=2)
        requeued = fail(store, first, reason=Reason.WORKER_LOST, retryable=True)
        second = claim(store, first.id, worker="w2", lease=30.0)

        assert JobStatus.queued is requeued.status
        with pytest.raises(StaleAttempt, match="attempt 1"):
            write(store, first)
        assert second == store.get(first.id)

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    def test_attempt_of_a_final_job(
        self, store: JobStore, write: Callable[[JobStore, JobRecord], JobRecord]
    ) -> None:
        """
        (19) Nothing is written over a job that is over.
        """
        running = started(store)
        done = complete(store, running, value_json="1")

        with pytest.raises(StaleAttempt):
            write(store, running)
        assert done == store.get(running.id)

    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    def test_attempt_of_a_forgotten_job(
        self,
        harness: StoreHarness,
        store: JobStore,
        write: Callable[[JobStore, JobRecord], JobRecord],
    ) -> None:
        """
        (36) An attempt that comes back after its job was forgotten is stale, too.
        """
        running = started(store, lease=1.0, result_ttl=1.0)
        fail(store, running, reason=Reason.WORKER_LOST, retryable=True)
        harness.advance(2.0)
        store.expire()

        with pytest.raises(StaleAttempt):
            write(store, running)

    def test_late_but_not_given_up(self, harness: StoreHarness, store: JobStore) -> None:
        """
        A lease that has run out, and that nobody has settled, does not cost the result.
        """
        running = started(store, lease=1.0)
        harness.advance(60.0)

        assert JobStatus.done is complete(store, running, value_json="1").status

    # -- time

    def test_schedule_survives(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (55) What is due is known to a handle that never saw the submission.
        """
        record = queued(store, delay=5.0)
        store.close()
        harness.advance(6.0)

        assert [record.id] == [found.id for found in harness.open("app").due()]

    def test_lease_is_set_anew(self, store: JobStore) -> None:
        """
        A change may move the lease into the past, and the job is due at once.
        """
        record = started(store)
        store.compare_and_set(
            Guard(job_id=record.id, status=JobStatus.running, token=record.token),
            None,
            {"lease_until": FromNow(-1.0)},
        )

        assert [record.id] == [found.id for found in store.due()]
