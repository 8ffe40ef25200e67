"""
A tick whose queue or op store does not do what it is asked.
"""

from __future__ import annotations

import logging

import attrs
import pytest

from chariots_core.errors import ArtifactCorrupt, BrokerUnavailable
from chariots_core.jobs.lifecycle import mark_published
from chariots_core.jobs.outcomes import PUBLISH_AFTER, PUBLISH_CAP, PUBLISH_DEADLINE
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import JobStore
from chariots_core.jobs.tick import TickReport, tick
from chariots_core.testing.job_store_contract.harness import (
    StoreHarness,
    Ticker,
    TickTests,
    near,
    queued,
    started,
    trained,
    trained_before,
)


class OutageContract(TickTests):
    """
    What could not be done is done later, and holds up nothing else.
    """

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
        (68) A publication that fails is tried again, less and less often, and is no
        burden to each tick meanwhile; the record holds the cause.
        """
        committed = trained(store)
        failing = FailingTicker(store)
        gaps: list[float] = []

        with caplog.at_level(logging.WARNING, "chariots_core.jobs.publication"):
            while len(gaps) < 12:
                assert TickReport() == failing()
                next_try = store.get(committed.id).resend_at
                assert next_try is not None
                gaps.append((next_try - store.now()).total_seconds())
                harness.advance(gaps[-1] + 0.1)
                assert 1 == failing().errors

        assert near(PUBLISH_AFTER, gaps[0])
        assert gaps[1] < 2 * gaps[2] < 4 * gaps[3]
        assert near(PUBLISH_CAP, gaps[-1])
        now = store.get(committed.id)
        assert (JobStatus.running, Reason.PUBLISHING) == (now.status, now.reason)
        assert now.error is not None
        assert ("chariots_core.errors.ArtifactCorrupt", True) == (
            now.error.type,
            "its bytes are gone" in now.error.message,
        )
        assert "its bytes are gone" in caplog.text
        harness.advance(301.0)
        assert 1 == Ticker(store)().published
        done = store.get(committed.id)
        assert (JobStatus.done, None, "1") == (done.status, done.error, done.value_json)

    def test_publication_that_never_succeeds(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (68) A job whose models cannot be published for an hour fails, for a reason of
        its own, and names the cause; it has no result.
        """
        committed = trained(store)
        failing = FailingTicker(store)
        reports = []
        waited = 0.0
        while waited < PUBLISH_DEADLINE + 2 * PUBLISH_CAP:
            harness.advance(100.0)
            waited += 100.0
            reports.append(failing())
            if reports[-1].abandoned:
                break

        assert PUBLISH_DEADLINE <= waited <= PUBLISH_DEADLINE + PUBLISH_CAP + 100.0
        failed = store.get(committed.id)
        assert TickReport(abandoned=1, changed=(failed,)) == reports[-1]
        assert (JobStatus.failed, Reason.PUBLICATION_FAILED, None, {}, False) == (
            failed.status,
            failed.reason,
            failed.value,
            failed.versions,
            failed.is_unpublished,
        )
        assert failed.error is not None
        assert "its bytes are gone" in failed.error.message
        assert failed.finished_at is not None
        assert mark_published(store, failed) is None
        harness.advance(1000.0)
        assert TickReport() == failing()

    @pytest.mark.parametrize(
        ("error", "shown"),
        [
            (OSError(28, "No space", "/secret/path"), "No space left on device"),
            (RuntimeError("password=/secret/"), "the log of the process that tried has the error"),
        ],
    )
    def test_publication_keeps_secrets(
        self, harness: StoreHarness, store: JobStore, error: Exception, shown: str
    ) -> None:
        """
        The record of a failed publication names the cause without text that may be secret.
        """
        committed = trained(store)
        harness.advance(PUBLISH_AFTER + 0.1)
        assert 1 == FailingTicker(store, error=error)().errors

        found = store.get(committed.id).error
        assert found is not None
        assert (type(error).__name__, True) == (found.type, shown in found.message)
        assert "secret" not in found.message

    def test_publication_that_nobody_tried(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (68) A job fails after an hour of tries, not after an hour in which every
        process was stopped: then the hour begins anew.
        """
        committed = trained(store)
        failing = FailingTicker(store)
        harness.advance(100_000.0)
        assert 1 == failing().errors
        harness.advance(100_000.0)
        assert 1 == failing().errors
        assert store.get(committed.id).is_publishing
        harness.advance(100_000.0)

        assert 1 == Ticker(store)().published

    def test_publication_of_an_older_release_that_fails(
        self, harness: StoreHarness, store: JobStore
    ) -> None:
        """
        (68) A job that an older release left done stays done, and its publication is
        tried again and again.
        """
        older = trained_before(store)
        failing = FailingTicker(store)
        assert 1 == failing().errors
        assert TickReport() == failing()
        harness.advance(2 * PUBLISH_DEADLINE)
        assert 1 == failing().errors
        assert JobStatus.done is store.get(older.id).status
        harness.advance(PUBLISH_CAP + 1.0)
        assert 1 == Ticker(store)().published


@attrs.define
class FailingTicker(Ticker):
    """
    A ticker whose op store does not take what jobs trained.
    """

    error: Exception = attrs.field(factory=lambda: ArtifactCorrupt("its bytes are gone"))

    def __call__(self, job_id: str | None = None, limit: int = 100) -> TickReport:
        def publish(_record: JobRecord) -> None:
            raise self.error

        return tick(
            self.store,
            dispatch=self.dispatched.append,
            publish=publish,
            job_id=job_id,
            limit=limit,
        )
