"""
A tick whose queue or op store does not do what it is asked.
"""

from __future__ import annotations

import logging

import pytest

from chariots_core.errors import BrokerUnavailable
from chariots_core.jobs.lifecycle import (
    complete,
)
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.store import JobStore
from chariots_core.jobs.tick import TickReport, tick
from chariots_core.testing.job_store_contract.harness import (
    StoreHarness,
    Ticker,
    TickTests,
    queued,
    started,
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
