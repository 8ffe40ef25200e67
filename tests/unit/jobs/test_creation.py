"""
How a job begins, without a store; with stores, see the contract of job stores.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from chariots_core.jobs import FromNow, JobRecord, JobStatus, NewEvent, NewJob, Reason
from chariots_core.jobs.creation import ASKED, COMPARED, first_fields, is_same_request, mismatch

JOB = NewJob(pipeline="p", backend="b", id="j")


def record_of(job: NewJob) -> JobRecord:
    """
    The record that a store would make of *job*.
    """
    asked = {name: getattr(job, name) for name in ASKED}
    created_at = datetime(2026, 1, 1, tzinfo=UTC)
    return JobRecord(seq=1, app="a", status=JobStatus.queued, created_at=created_at, **asked)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (JobStatus.queued, None, 1, FromNow(), None, None, None)),
        (
            {"resend_after": 5.0, "queue_timeout": 9.0},
            (JobStatus.queued, None, 1, FromNow(), None, FromNow(5.0), FromNow(9.0)),
        ),
        (
            {"delay": 3.0, "resend_after": 5.0, "queue_timeout": 9.0},
            (JobStatus.deferred, Reason.SCHEDULED, 0, None, FromNow(3.0), None, FromNow(12.0)),
        ),
    ],
)
def test_first_fields(options: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """
    (9) A job begins queued and handed over once, or deferred until its time comes.
    """
    fields = first_fields(attrs.evolve(JOB, **options))

    assert expected == tuple(fields.values())
    assert tuple(fields) == (
        "status",
        "reason",
        "generation",
        "queued_at",
        "due_at",
        "resend_at",
        "queue_expires_at",
    )


def test_all_that_is_asked_is_kept() -> None:
    """
    Each field of a new job is one of its record, but for the delay, which becomes a time.
    """
    names = {field.name for field in attrs.fields(NewJob)}

    assert names == {*ASKED, "delay"}
    assert {field.name for field in attrs.fields(JobRecord)} >= set(ASKED)


def test_what_makes_a_request() -> None:
    """
    (16) What is to be run and how makes the request; what a deployment decides does not.
    """
    assert {"id", "backend", "resend_after", "code"} == set(ASKED) - set(COMPARED)
    others: dict[str, Any] = {
        **dict.fromkeys(("pipeline", "queue", "input_json", "input_ref"), "other"),
        **dict.fromkeys(("timeout", "queue_timeout", "result_ttl", "retry_delay"), 77.0),
        **dict.fromkeys(("priority", "max_attempts"), 7),
    }
    assert set(COMPARED) == set(others)
    assert is_same_request(record_of(JOB), attrs.evolve(JOB, backend="c", resend_after=1.0))
    for name, value in others.items():
        assert not is_same_request(record_of(JOB), attrs.evolve(JOB, **{name: value})), name


def test_mismatch_names_both() -> None:
    """
    The error says which name it is about, and which job has it.
    """
    error = mismatch(record_of(JOB), "idempotency key 'k'")

    assert "j" == error.job_id
    assert "the idempotency key 'k' was used" in str(error)


@pytest.mark.parametrize("keep", [0, -1])
def test_an_event_makes_room_for_itself(keep: int) -> None:
    """
    An event that would have to make room for itself is refused.
    """
    with pytest.raises(ValueError, match="keep"):
        NewEvent(kind="a", keep=keep)
