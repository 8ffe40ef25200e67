"""
`tick` on the store: what time has made due is settled, once.
"""

from __future__ import annotations

import pytest

from chariots_core.errors import JobNotFound
from chariots_core.jobs.lifecycle import (
    claim,
    complete,
    fail,
    release,
)
from chariots_core.jobs.outcomes import PUBLISH_AFTER
from chariots_core.jobs.publication import settle_publications
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
    together,
    trained,
    trained_before,
)


class TickContract(TickTests):
    """
    Whoever ticks, each job moves once.
    """

    def test_nothing_to_do(self, store: JobStore, ticker: Ticker) -> None:
        """
        Jobs that wait for nothing but a worker are left alone.
        """
        queued(store)
        started(store)
        queued(store, delay=60.0)
        complete(store, started(store), value_json="1")

        assert TickReport() == ticker()
        assert ([], []) == (ticker.dispatched, ticker.published)

    def test_scheduled_job(self, harness: StoreHarness, store: JobStore, ticker: Ticker) -> None:
        """
        (55, 69) A scheduled job is queued and handed over at its time, not before.
        """
        record = queued(store, delay=10.0, resend_after=5.0)
        harness.advance(8.0)
        assert TickReport() == ticker()
        harness.advance(2.1)
        report = ticker()

        ready = store.get(record.id)
        assert TickReport(due=1, changed=(ready,)) == report
        assert (JobStatus.queued, None, 1, None) == (
            ready.status,
            ready.reason,
            ready.generation,
            ready.due_at,
        )
        assert ready.queued_at is not None
        assert ready.resend_at is not None
        assert [(record.id, 1)] == ticker.sent

    def test_lost_message(self, harness: StoreHarness, store: JobStore, ticker: Ticker) -> None:
        """
        (34, 41) A job that stays queued is handed over again, less and less often,
        and no attempt is counted.
        """
        record = queued(store, resend_after=10.0)
        gaps: list[int] = []
        waited = 0
        while len(gaps) < 7:
            harness.advance(5.0)
            waited += 5
            if ticker().resent:
                gaps.append(waited)
                waited = 0

        assert [10, 20, 40, 80, 160, 300, 300] == gaps
        assert [(record.id, n) for n in range(2, 9)] == ticker.sent
        now = store.get(record.id)
        assert (JobStatus.queued, 0, 8) == (now.status, now.attempt, now.generation)

    def test_started_job_is_not_sent(
        self, harness: StoreHarness, store: JobStore, ticker: Ticker
    ) -> None:
        """
        A job that runs is not handed over again.
        """
        started(store, lease=100.0, resend_after=1.0)
        harness.advance(50.0)

        assert TickReport() == ticker()

    def test_end_in_the_queue(self, harness: StoreHarness, store: JobStore, ticker: Ticker) -> None:
        """
        (57) A job that nobody started in time fails, though it might be sent again.
        """
        record = queued(store, queue_timeout=10.0, resend_after=4.0)
        harness.advance(10.1)
        report = ticker()

        ended = store.get(record.id)
        assert TickReport(expired=1, changed=(ended,)) == report
        assert (JobStatus.failed, Reason.EXPIRED_IN_QUEUE) == (ended.status, ended.reason)
        assert [] == ticker.dispatched

    def test_end_of_a_job_that_nobody_knows(
        self, harness: StoreHarness, store: JobStore, ticker: Ticker
    ) -> None:
        """
        (26) A job whose pipeline no worker knows is offered again until its time in
        the queue ends, and then fails as unknown_pipeline, no attempt counted.
        """
        record = started(store, queue_timeout=10.0)
        offers = 0
        for _ in range(12):
            current = store.get(record.id)
            if current.status is JobStatus.running:
                offers += 1
                release(store, current, reason=Reason.UNKNOWN_PIPELINE, delay=3.0)
            harness.advance(1.0)
            ticker()
            claim(store, record.id, worker="w", lease=30.0)

        ended = store.get(record.id)
        assert (JobStatus.failed, Reason.UNKNOWN_PIPELINE, 0) == (
            ended.status,
            ended.reason,
            ended.attempt,
        )
        assert ended.error is not None
        assert "'p'" in ended.error.message
        assert 4 == offers

    def test_unpublished_models(
        self, harness: StoreHarness, store: JobStore, ticker: Ticker
    ) -> None:
        """
        (68) What a job trained and its worker did not publish is published by a tick a
        moment later, once, and the job is done; until then it reads running.
        """
        committed = trained(store, lease=0.5)
        early = ticker()
        harness.advance(PUBLISH_AFTER + 0.1)
        report = ticker()

        done = store.get(committed.id)
        assert TickReport() == early
        assert TickReport(published=1, changed=(done,)) == report
        assert [(committed.id, '{"m":1}')] == [
            (record.id, record.manifest_json) for record in ticker.published
        ]
        assert (JobStatus.done, False, "1") == (done.status, done.is_unpublished, done.value_json)
        assert TickReport() == ticker()

    def test_unpublished_models_of_an_older_release(self, store: JobStore, ticker: Ticker) -> None:
        """
        (68) A job that an older release left done and unpublished is published by the
        next tick, once.
        """
        older = trained_before(store)
        report = ticker()

        assert 1 == report.published
        assert [older.id] == [record.id for record in ticker.published]
        assert not store.get(older.id).is_unpublished
        assert TickReport() == ticker()

    def test_publication_is_done_before_the_job(
        self, harness: StoreHarness, store: JobStore
    ) -> None:
        """
        (68) While a tick publishes, other processes read the job as running, and a
        second tick does not publish it as well.
        """
        committed = trained(store)
        harness.advance(PUBLISH_AFTER + 0.1)
        seen: list[tuple[JobStatus, int]] = []
        second = Ticker(store)

        def publish(record: JobRecord) -> None:
            second()
            seen.append((store.get(record.id).status, len(second.published)))

        tick(store, dispatch=print, publish=publish)

        assert [(JobStatus.running, 0)] == seen
        assert JobStatus.done is store.get(committed.id).status

    def test_several_tick_at_the_publication(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (68) Of several processes that tick at the same moment, one publishes and one
        reports it.
        """
        committed = trained(store)
        harness.advance(PUBLISH_AFTER + 0.1)
        tickers = [Ticker(harness.open()) for _ in range(4)]

        reports = together(4, lambda n: tickers[n](committed.id))

        assert 1 == sum(len(ticker.published) for ticker in tickers)
        assert 1 == sum(report.published for report in reports)
        assert [JobStatus.done] == [
            record.status for report in reports for record in report.changed
        ]
        for ticker in tickers:
            ticker.store.close()

    def test_settled_publications(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (68) `settle_publications` publishes the models of every decided outcome before a
        tick would, and changes no other job; a publication that fails stops no other.
        """
        jobs = [trained(store, lease=0.1) for _ in range(3)]
        plain = started(store)
        harness.advance(0.2)
        seen: list[str] = []

        def publish(record: JobRecord) -> None:
            assert record.manifest_json is not None
            seen.append(record.id)
            if record.id == jobs[1].id:
                raise OSError("no space left on device")

        ended = settle_publications(store, publish)

        assert {job.id for job in jobs} == set(seen)
        assert {(jobs[n].id, JobStatus.done) for n in (0, 2)} == {
            (record.id, record.status) for record in ended
        }
        assert store.get(jobs[1].id).is_publishing
        assert plain == store.get(plain.id)
        assert [jobs[1].id] == [record.id for record in settle_publications(store, print)]
        assert () == settle_publications(store, print)

    def test_lost_attempt_publishes_nothing(
        self, harness: StoreHarness, store: JobStore, ticker: Ticker
    ) -> None:
        """
        (68) An attempt that was lost publishes nothing; the one that followed it does, once.
        """
        first = started(store, lease=1.0, max_attempts=2)
        harness.advance(2.0)
        ticker()
        second = claim(store, first.id, worker="w2", lease=30.0)
        assert second is not None
        complete(store, second, value_json="1", manifest_json='{"attempt":2}')
        harness.advance(PUBLISH_AFTER + 0.1)
        ticker()
        ticker()

        assert ['{"attempt":2}'] == [record.manifest_json for record in ticker.published]

    def test_forgotten_jobs(self, harness: StoreHarness, store: JobStore, ticker: Ticker) -> None:
        """
        Final jobs whose time is over are forgotten by a tick of all, not by one of a job.
        """
        done = complete(store, started(store, result_ttl=1.0), value_json="1")
        harness.advance(2.0)

        assert TickReport() == ticker(job_id=done.id)
        assert TickReport(forgotten=1) == ticker()
        with pytest.raises(JobNotFound):
            store.get(done.id)

    def test_one_job_only(self, harness: StoreHarness, store: JobStore, ticker: Ticker) -> None:
        """
        (32) A tick for one job settles that job and no other.
        """
        first, second = (started(store, lease=1.0) for _ in range(2))
        harness.advance(2.0)
        ticker(job_id=first.id)

        assert JobStatus.failed is store.get(first.id).status
        assert JobStatus.running is store.get(second.id).status

    def test_limit(self, harness: StoreHarness, store: JobStore, ticker: Ticker) -> None:
        """
        A tick settles no more than it is told to, and the next one goes on.
        """
        for _ in range(3):
            started(store, lease=1.0)
        harness.advance(2.0)

        assert [2, 1, 0] == [ticker(limit=2).lost for _ in range(3)]

    def test_retry_keeps_its_reason(
        self, harness: StoreHarness, store: JobStore, ticker: Ticker
    ) -> None:
        """
        A retry whose time has come still reads as a retry, with the last error.
        """
        record = started(store, max_attempts=2, retry_delay=5.0)
        fail(store, record, reason=Reason.USER_ERROR, retryable=True)
        harness.advance(5.1)
        ticker()

        ready = store.get(record.id)
        assert (JobStatus.queued, Reason.RETRYING, 1) == (
            ready.status,
            ready.reason,
            ready.attempt,
        )
