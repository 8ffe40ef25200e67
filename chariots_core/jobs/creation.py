"""
How a job begins, and when two submissions are the same: once for all stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chariots_core.errors import IdempotencyMismatch
from chariots_core.jobs.changes import FromNow
from chariots_core.jobs.record import JobRecord, NewJob
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import Created, IdempotencyKey

#: What a record keeps of a `NewJob` as it was asked for.
ASKED: Final = (
    "id",
    "pipeline",
    "backend",
    "queue",
    "input_json",
    "input_ref",
    "priority",
    "max_attempts",
    "retry_delay",
    "timeout",
    "queue_timeout",
    "resend_after",
    "result_ttl",
    "code",
)

#: What makes two jobs of one id the same request: what is to be run, and the
#: options that the caller chose. ``backend``, ``resend_after`` and ``code`` are the
#: deployment's choice, which may change between two tries; a ``delay`` counts
#: from the first of them.
COMPARED: Final = tuple(
    name for name in ASKED if name not in ("id", "backend", "resend_after", "code")
)


def first_fields(job: NewJob) -> Mapping[str, Any]:
    """
    The fields of a new record beside those in `ASKED`; the others begin as
    `JobRecord` says.

    A time is a `FromNow`, or ``None``; ``created_at`` is the moment of writing.
    """
    waits = job.delay > 0
    return {
        "status": JobStatus.deferred if waits else JobStatus.queued,
        "reason": Reason.SCHEDULED if waits else None,
        "generation": 0 if waits else 1,
        "queued_at": None if waits else FromNow(),
        "due_at": FromNow(job.delay) if waits else None,
        "resend_at": None if waits else _after(job.resend_after),
        "queue_expires_at": _after(job.queue_timeout, job.delay),
    }


def _after(seconds: float | None, delay: float = 0.0) -> FromNow | None:
    return None if seconds is None else FromNow(delay + seconds)


def is_same_request(record: JobRecord, job: NewJob) -> bool:
    """
    Whether *job*, submitted under the id of *record*, asks for the same again;
    see `COMPARED`.
    """
    return all(getattr(record, name) == getattr(job, name) for name in COMPARED)


def replayed(
    record: JobRecord,
    job: NewJob,
    idempotency: IdempotencyKey | None,
    *,
    key: str | None,
    digest: str | None,
) -> Created:
    """
    What a submission gets whose id or key an earlier job has.

    Args:
        record: the earlier job.
        job: what was submitted.
        idempotency: under which key.
        key: the key that the earlier job holds.
        digest: the digest that goes with it.

    Raises:
        IdempotencyMismatch: the earlier job is another request.
    """
    if idempotency is not None and key == idempotency.key:
        same, named = digest == idempotency.digest, f"idempotency key {key!r}"
    else:
        same, named = is_same_request(record, job), f"job id {job.id!r}"
    if not same:
        raise mismatch(record, named)
    return Created(record=record, replayed=True)


def mismatch(record: JobRecord, name: str) -> IdempotencyMismatch:
    """
    The error of a submission whose *name*, an id or a key, belongs to another request.
    """
    return IdempotencyMismatch(
        f"the {name} was used for another request: use a new one for a new request",
        job_id=record.id,
    )
