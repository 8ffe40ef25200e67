"""
What becomes of a job: the status that follows an event, and the fields that change.

Pure: the functions of `chariots_core.jobs.lifecycle` and the tick write it.
"""

from __future__ import annotations

from typing import Any, Final

from chariots_core.jobs.changes import FromNow, Plus
from chariots_core.jobs.record import JobError, JobRecord
from chariots_core.jobs.status import JobStatus, Reason

#: Seconds after which a job that is still queued is handed over again, at most.
RESEND_CAP: Final = 300.0

#: More of them would be no number any more.
_DOUBLINGS: Final = 32

Changes = dict[str, Any]
Outcome = tuple[JobStatus, Changes]


def after_failure(
    record: JobRecord, *, reason: str, error: JobError | None, retryable: bool
) -> Outcome:
    """
    What becomes of a running job whose attempt went wrong.
    """
    if retryable and not record.cancel_requested and record.attempt < record.max_attempts:
        delay = record.retry_delay * 2.0 ** min(max(record.attempt - 1, 0), _DOUBLINGS)
        status, changes = again(record, delay)
        return status, changes | {"reason": Reason.RETRYING, "error": error}
    if reason == Reason.WORKER_LOST:
        if record.cancel_requested:
            reason = Reason.CANCELLED
        elif record.max_attempts > 1:
            reason = Reason.ATTEMPTS_EXHAUSTED
    return JobStatus.failed, finished_changes(record) | {"reason": reason, "error": error}


def after_waiting(record: JobRecord) -> Outcome:
    """
    What becomes of a deferred job whose time has come.
    """
    reason = None if record.reason == Reason.SCHEDULED else record.reason
    changes = resend_changes(record) | {"reason": reason, "queued_at": FromNow(), "due_at": None}
    return JobStatus.queued, changes


def after_queue_timeout(record: JobRecord) -> Outcome:
    """
    What becomes of a job that nobody started in time.
    """
    changes = finished_changes(record)
    if record.reason == Reason.UNKNOWN_PIPELINE:
        changes["reason"] = Reason.UNKNOWN_PIPELINE
        if record.error is None:
            changes["error"] = JobError(
                type="PipelineNotFound",
                message=f"no worker knew the pipeline {record.pipeline!r} before the job's "
                "time in the queue ended",
            )
    else:
        changes["reason"] = Reason.EXPIRED_IN_QUEUE
    return JobStatus.failed, changes


def again(record: JobRecord, delay: float) -> Outcome:
    """
    What becomes of a running job that is to be started again after *delay* seconds.

    Its time in the queue begins anew, and nothing that an attempt shows of
    itself is left of the one before.
    """
    changes: Changes = {
        "worker": None,
        "started_at": None,
        "progress": None,
        "lease_until": None,
        "queue_expires_at": (
            None if record.queue_timeout is None else FromNow(delay + record.queue_timeout)
        ),
    }
    if delay > 0:
        return JobStatus.deferred, changes | {"due_at": FromNow(delay)}
    return JobStatus.queued, changes | resend_changes(record) | {"queued_at": FromNow()}


def resend_changes(record: JobRecord) -> Changes:
    """
    What changes as a queued job is handed over: the count, and when to do it again.
    """
    wait = None
    if record.resend_after is not None:
        cap = max(RESEND_CAP, record.resend_after)
        wait = FromNow(min(cap, record.resend_after * 2.0 ** min(record.generation, _DOUBLINGS)))
    return {"generation": Plus(1), "resend_at": wait}


def finished_changes(record: JobRecord) -> Changes:
    """
    What changes at every end.
    """
    return {
        "finished_at": FromNow(),
        "expires_at": FromNow(record.result_ttl),
        "lease_until": None,
        "due_at": None,
        "resend_at": None,
        "queue_expires_at": None,
    }
