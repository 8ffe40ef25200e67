"""
`tick` on the store: what time has made due is settled, once.
"""

from __future__ import annotations

import logging

import attrs
import pytest

from chariots_core.errors import BrokerUnavailable, JobNotFound
from chariots_core.jobs.lifecycle import (
    claim,
    complete,
    fail,
    release,
    renew,
    request_cancel,
)
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import JobStore
from chariots_core.jobs.tick import TickReport, tick
from chariots_core.testing.job_store_contract.harness import (
    StoreHarness,
    StoreTests,
    queued,
    started,
)


@attrs.define
class Ticker:
    """
    Ticks a store and writes down what it is told to hand over and to publish.
    """

    store: JobStore
    dispatched: list[JobRecord] = attrs.field(factory=list)
    published: list[JobRecord] = attrs.field(factory=list)

    def __call__(self, job_id: str | None = None, limit: int = 100) -> TickReport:
        return tick(
            self.store,
            dispatch=self.dispatched.append,
            publish=self.published.append,
            job_id=job_id,
            limit=limit,
        )

    @property
    def sent(self) -> list[tuple[str, int]]:
        """
        What was handed over: ids and generations.
        """
        return [(record.id, record.generation) for record in self.dispatched]


class TickContract(StoreTests):
    """
    Whoever ticks, each job moves once.
    """

    @pytest.fixture
    def ticker(self, store: JobStore) -> Ticker:
        """
        A ticker of the store.
        """
        return Ticker(store)

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

    def test_unpublished_models(self, store: JobStore, ticker: Ticker) -> None:
        """
        (68) What a job trained and did not publish is published by the next tick, once.
        """
        done = complete(store, started(store), value_json="1", manifest_json='{"m":1}')
        report = ticker()

        assert 1 == report.published
        assert [(done.id, '{"m":1}')] == [
            (record.id, record.manifest_json) for record in ticker.published
        ]
        assert not store.get(done.id).is_unpublished
        assert TickReport() == ticker()

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

    def test_hand_over_that_fails(
        self, harness: StoreHarness, store: JobStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        """
        A hand-over that fails is logged and tried again later; the other jobs are settled.
        """
        ids = [queued(store, delay=1.0, resend_after=10.0).id for _ in range(3)]
        harness.advance(2.0)
        reached = Ticker(store)

        def dispatch(record: JobRecord) -> None:
            if record.id == ids[0]:
                raise OSError("the message is too long")
            reached.dispatched.append(record)

        with caplog.at_level(logging.WARNING, "chariots_core.jobs.tick"):
            report = tick(store, dispatch=dispatch, publish=reached.published.append)
        harness.advance(20.1)
        reached()

        assert (3, 1) == (report.due, report.errors)
        assert [f"could not hand over job {ids[0]}"] == [
            message.split(",")[0] for message in caplog.messages
        ]
        assert [(ids[1], 1), (ids[2], 1)] == reached.sent[:2]
        assert (ids[0], 2) in reached.sent[2:]

    @pytest.mark.parametrize("error", [BrokerUnavailable("it is down"), TimeoutError()])
    def test_broker_that_is_down(
        self, harness: StoreHarness, store: JobStore, error: Exception
    ) -> None:
        """
        A broker that is out of reach is waited for once in a tick; no job is lost by that.
        """
        ids = [queued(store, delay=1.0, resend_after=10.0).id for _ in range(3)]
        ids += [started(store, lease=1.0, max_attempts=2, resend_after=10.0).id for _ in range(2)]
        harness.advance(2.0)
        asked: list[str] = []

        def dispatch(record: JobRecord) -> None:
            asked.append(record.id)
            raise error

        report = tick(store, dispatch=dispatch, publish=print)
        harness.advance(30.1)
        back = Ticker(store)
        back()

        assert 1 == len(asked)
        assert (3, 2, 1, 4) == (report.due, report.retried, report.errors, report.postponed)
        assert set(ids) == {record.id for record in back.dispatched}

    def test_job_that_is_never_resent(self, harness: StoreHarness, store: JobStore) -> None:
        """
        One that no later tick would hand over is handed over although the broker seems down.
        """
        for _ in range(3):
            queued(store, delay=1.0, resend_after=None)
        harness.advance(2.0)
        asked: list[str] = []

        def dispatch(record: JobRecord) -> None:
            asked.append(record.id)
            raise BrokerUnavailable("it is down")

        report = tick(store, dispatch=dispatch, publish=print)

        assert (3, 3, 0) == (len(asked), report.errors, report.postponed)

    def test_budget(self, harness: StoreHarness, store: JobStore, ticker: Ticker) -> None:
        """
        When its time is over a tick begins nothing more; the rest stays due.
        """
        ids = {queued(store, delay=1.0).id for _ in range(3)}
        harness.advance(2.0)

        reports = [
            tick(store, dispatch=ticker.dispatched.append, publish=print, budget=0.0)
            for _ in range(4)
        ]

        assert [1, 1, 1, 0] == [report.due for report in reports]
        assert ids == {record.id for record in ticker.dispatched}

    def test_publication_that_fails(
        self, harness: StoreHarness, store: JobStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        """
        A publication that fails is tried again, and is no burden to each tick meanwhile.
        """
        done = complete(store, started(store), value_json="1", manifest_json="{}")
        attempts = []

        def publish(record: JobRecord) -> None:
            attempts.append(record.id)
            raise OSError("no space left on device")

        def failing() -> TickReport:
            return tick(store, dispatch=publish, publish=publish)

        with caplog.at_level(logging.WARNING, "chariots_core.jobs.tick"):
            assert 1 == failing().errors
            assert TickReport() == failing()
            harness.advance(400.0)
            assert 1 == failing().errors
        assert [done.id] * 2 == attempts
        harness.advance(400.0)
        assert 1 == Ticker(store)().published

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
