"""
What follows from what, without a store; with stores, see the contract of job stores.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from chariots_core.jobs.outcomes import (
    after_failure,
    after_queue_timeout,
    after_waiting,
    resend_changes,
)
from chariots_core.jobs.record import JobError, JobRecord
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import CHANGEABLE, FromNow, Plus


def running(**facts: Any) -> JobRecord:
    """
    A job in its first attempt.
    """
    return JobRecord(
        **{
            "id": "j",
            "seq": 1,
            "app": "a",
            "pipeline": "p",
            "backend": "b",
            "queue": "q",
            "status": JobStatus.running,
            "attempt": 1,
            "created_at": datetime(2026, 1, 1, tzinfo=UTC),
            **facts,
        }
    )


@pytest.mark.parametrize(
    ("facts", "reason", "retryable", "status", "expected"),
    [
        # one attempt: the reason itself
        ({}, Reason.USER_ERROR, True, "failed", Reason.USER_ERROR),
        ({}, Reason.WORKER_LOST, True, "failed", Reason.WORKER_LOST),
        ({}, Reason.TIMEOUT, True, "failed", Reason.TIMEOUT),
        # several: again while some are left
        ({"max_attempts": 2}, Reason.USER_ERROR, True, "queued", Reason.RETRYING),
        ({"max_attempts": 2}, Reason.WORKER_LOST, True, "queued", Reason.RETRYING),
        ({"max_attempts": 2, "retry_delay": 1.0}, "r", True, "deferred", Reason.RETRYING),
        # and then: lost workers exhaust them, the op's own error says more
        ({"max_attempts": 2, "attempt": 2}, Reason.USER_ERROR, True, "failed", Reason.USER_ERROR),
        (
            {"max_attempts": 2, "attempt": 2},
            Reason.WORKER_LOST,
            True,
            "failed",
            Reason.ATTEMPTS_EXHAUSTED,
        ),
        # never where it cannot help, or where somebody asked for the end
        ({"max_attempts": 2}, Reason.RESULT_NOT_SERIALIZABLE, False, "failed", None),
        ({"max_attempts": 2, "cancel_requested": True}, "r", True, "failed", "r"),
        (
            {"max_attempts": 2, "cancel_requested": True},
            Reason.WORKER_LOST,
            True,
            "failed",
            Reason.CANCELLED,
        ),
    ],
)
def test_outcome_of_a_failure(
    facts: dict[str, Any], reason: str, retryable: bool, status: str, expected: str | None
) -> None:
    """
    (30, 33, 54) Attempts, reason and wishes decide what a failed attempt leads to.
    """
    error = JobError(type="T", message="m")
    outcome, changes = after_failure(
        running(**facts), reason=reason, error=error, retryable=retryable
    )

    assert (JobStatus(status), expected or reason) == (outcome, changes["reason"])
    assert error == changes["error"]
    assert changes["lease_until"] is None
    assert changes.keys() <= CHANGEABLE


@pytest.mark.parametrize(("attempt", "delay"), [(1, 10.0), (2, 20.0), (3, 40.0), (4, 80.0)])
def test_backoff(attempt: int, delay: float) -> None:
    """
    (54) Each wait is twice the one before.
    """
    record = running(attempt=attempt, max_attempts=9, retry_delay=10.0)
    status, changes = after_failure(record, reason="r", error=None, retryable=True)

    assert (JobStatus.deferred, FromNow(delay)) == (status, changes["due_at"])


@pytest.mark.parametrize(
    ("base", "generation", "expected"),
    [(10.0, 0, 10.0), (10.0, 1, 20.0), (10.0, 4, 160.0), (10.0, 5, 300.0), (10.0, 10_000, 300.0),
     (900.0, 3, 900.0), (None, 1, None)],
)  # fmt: skip
def test_resending(base: float | None, generation: int, expected: float | None) -> None:
    """
    (34) Hand-overs are repeated less and less often, and where the store is the
    queue not at all.
    """
    changes = resend_changes(running(resend_after=base, generation=generation))

    assert (Plus(1), None if expected is None else FromNow(expected)) == (
        changes["generation"],
        changes["resend_at"],
    )


@pytest.mark.parametrize(
    ("reason", "expected"),
    [(Reason.SCHEDULED, None), (Reason.RETRYING, Reason.RETRYING), ("other", "other")],
)
def test_reason_after_waiting(reason: str, expected: str | None) -> None:
    """
    A schedule is over when its time has come; other reasons still say why.
    """
    _, changes = after_waiting(running(status=JobStatus.deferred, reason=reason))

    assert expected == changes["reason"]


def test_error_of_unknown_pipelines() -> None:
    """
    (26) What a worker said about the unknown pipeline is kept; else the job says it.
    """
    said = JobError(type="PipelineNotFound", message="there is only 'q'")
    job = running(reason=Reason.UNKNOWN_PIPELINE)
    _, silent = after_queue_timeout(job)
    _, told = after_queue_timeout(running(reason=Reason.UNKNOWN_PIPELINE, error=said))

    assert "'p'" in silent["error"].message
    assert "error" not in told
