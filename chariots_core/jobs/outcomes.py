"""
What becomes of a job: the status that follows an event, and the fields that change.

Pure: the functions of `chariots_core.jobs.lifecycle` and the tick write it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from chariots_core.jobs.changes import FromNow, Plus
from chariots_core.jobs.record import JobError, JobRecord
from chariots_core.jobs.status import JobStatus, Reason

#: Seconds after which a job that is still queued is handed over again, at most.
RESEND_CAP: Final = 300.0

#: Seconds after the commit of an outcome with a manifest from which on any process
#: publishes its models: the worker that committed it takes milliseconds.
PUBLISH_AFTER: Final = 2.0

#: Longest pause between two tries to publish the models of a job, in seconds.
PUBLISH_CAP: Final = 300.0

#: Seconds of failed tries to publish after which the job fails.
PUBLISH_DEADLINE: Final = 3600.0

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


def publishing_changes() -> Changes:
    """
    Return the changes of a commit whose models are not published yet.

    The new token fences the attempt off: it can neither renew its lease nor commit
    anything else.
    """
    return {
        "reason": Reason.PUBLISHING,
        "token": Plus(1),
        "lease_until": None,
        "resend_at": FromNow(PUBLISH_AFTER),
        "queue_expires_at": FromNow(PUBLISH_DEADLINE),
    }


def publication_try_changes(record: JobRecord, now: datetime) -> Changes:
    """
    What changes when a process takes its turn to publish the models of a job: when
    the next try follows, if this one fails or the process dies.
    """
    left = PUBLISH_DEADLINE
    changes: Changes = {}
    if record.queue_expires_at is not None:
        left = (record.queue_expires_at - now).total_seconds()
    if record.resend_at is None or (now - record.resend_at).total_seconds() > PUBLISH_CAP:
        # No process has tried for a while, for example because all were stopped: start anew.
        left = PUBLISH_DEADLINE
        changes["queue_expires_at"] = FromNow(left)
    age = PUBLISH_DEADLINE - left
    return changes | {"resend_at": FromNow(min(max(age, PUBLISH_AFTER), PUBLISH_CAP))}


def after_publication() -> Changes:
    """
    What changes, besides `finished_changes`, when the models of a job are published.
    """
    return {"reason": None, "error": None, "published_at": FromNow()}


def after_failed_publication(record: JobRecord, now: datetime, error: JobError) -> Outcome:
    """
    What becomes of a job whose models could not be published: the next try
    follows, or the job fails because it was tried for too long.
    """
    if record.queue_expires_at is None or now < record.queue_expires_at:
        return JobStatus.running, {"error": error}
    return JobStatus.failed, finished_changes(record) | {
        "reason": Reason.PUBLICATION_FAILED,
        "error": error,
        "value_json": None,
        "value_ref": None,
        "versions": {},
    }


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
