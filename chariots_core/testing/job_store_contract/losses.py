"""
Workers that are lost, and workers that are late and alive.
"""

from __future__ import annotations

from chariots_core.jobs.lifecycle import (
    claim,
    complete,
    renew,
    request_cancel,
)
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import JobStore
from chariots_core.jobs.tick import TickReport, tick
from chariots_core.testing.job_store_contract.harness import (
    StoreHarness,
    Ticker,
    TickTests,
    queued,
    started,
)


class LossContract(TickTests):
    """
    A lost worker costs its attempt; one that lives costs nothing.
    """

    def test_lost_worker(self, harness: StoreHarness, store: JobStore, ticker: Ticker) -> None:
        """
        (30, 32) A job of one attempt whose lease ran out fails: its worker is lost.
        """
        record = started(store, lease=10.0)
        harness.advance(8.0)
        early = ticker()
        harness.advance(2.1)
        report = ticker()

        lost = store.get(record.id)
        assert TickReport() == early
        assert TickReport(lost=1, changed=(lost,)) == report
        assert (JobStatus.failed, Reason.WORKER_LOST, 1) == (lost.status, lost.reason, lost.attempt)
        assert lost.error is not None
        assert "'w1'" in lost.error.message
        assert [] == ticker.dispatched
        assert TickReport() == ticker()

    def test_poison(self, harness: StoreHarness, store: JobStore, ticker: Ticker) -> None:
        """
        (33) A job that always loses its worker is started exactly max_attempts times.
        """
        job_id = started(store, lease=1.0, max_attempts=3).id
        starts = 1
        for _ in range(5):
            harness.advance(2.0)
            ticker()
            starts += claim(store, job_id, worker="w", lease=1.0) is not None

        last = store.get(job_id)
        assert 3 == starts == last.attempt
        assert (JobStatus.failed, Reason.ATTEMPTS_EXHAUSTED) == (last.status, last.reason)
        assert [(job_id, 2), (job_id, 3)] == ticker.sent

    def test_lost_worker_with_backoff(
        self, harness: StoreHarness, store: JobStore, ticker: Ticker
    ) -> None:
        """
        A lost attempt with a retry delay waits, and is handed over when its time has come.
        """
        record = started(store, lease=1.0, max_attempts=2, retry_delay=10.0)
        harness.advance(2.0)
        first = ticker()
        waiting = store.get(record.id)
        harness.advance(10.1)
        second = ticker()

        assert (1, 0) == (first.retried, first.due)
        assert (JobStatus.deferred, Reason.RETRYING) == (waiting.status, waiting.reason)
        assert (0, 1) == (second.retried, second.due)
        assert [(record.id, 2)] == ticker.sent
        assert JobStatus.queued is store.get(record.id).status

    def test_live_worker(self, harness: StoreHarness, store: JobStore, ticker: Ticker) -> None:
        """
        (37) A job whose lease is renewed is never declared lost.
        """
        record = started(store, lease=10.0)
        for _ in range(5):
            harness.advance(8.0)
            renew(store, record, lease=10.0)
            assert TickReport() == ticker()

        assert JobStatus.done is complete(store, record, value_json="1").status

    def test_worker_that_is_just_in_time(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (37) A lease that is renewed after a tick has seen it run out is not lost.
        """
        first = queued(store, delay=1.0)
        record = started(store, lease=2.0)
        harness.advance(3.0)
        renewals = []

        def dispatch(_record: JobRecord) -> None:
            renewals.append(renew(store, record, lease=60.0))

        report = tick(store, dispatch=dispatch, publish=renewals.append)

        assert [first.id] == [changed.id for changed in report.changed]
        assert renewals == [store.get(record.id)]

    def test_cancelled_and_lost(
        self, harness: StoreHarness, store: JobStore, ticker: Ticker
    ) -> None:
        """
        (52) A job that was asked to end and lost its worker is cancelled, not tried again.
        """
        record = started(store, lease=1.0, max_attempts=3)
        request_cancel(store, record.id)
        harness.advance(2.0)
        ticker()

        ended = store.get(record.id)
        assert (JobStatus.failed, Reason.CANCELLED) == (ended.status, ended.reason)
        assert [] == ticker.dispatched
