"""
The life of a job: which change follows which event, once for all stores.

Every function is one compare-and-set, so that it holds against any number of
other processes. A function that makes a job ``queued`` does not hand it to a
queue: the caller does, with the record it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chariots_core.errors import JobNotFound, StaleAttempt
from chariots_core.jobs.changes import PROGRESS_EVENTS, FromNow, Guard, NewEvent, Plus, When
from chariots_core.jobs.outcomes import (
    Changes,
    Outcome,
    after_failure,
    after_publication,
    again,
    finished_changes,
    publishing_changes,
)
from chariots_core.jobs.record import JobError, JobRecord, Progress, check_text
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import JobStore

# -- the way of an attempt


def claim_changes(*, worker: str, lease: float) -> Changes:
    """
    What a claim changes, for stores that find and claim in one step.

    Raises:
        ValueError: a worker's id that no store can keep.
    """
    check_text("worker", worker)
    return {
        "reason": None,
        "attempt": Plus(1),
        "token": Plus(1),
        "worker": worker,
        "lease_until": FromNow(lease),
        "started_at": FromNow(),
        "progress": None,
        "due_at": None,
        "resend_at": None,
    }


def claim(store: JobStore, job_id: str, *, worker: str, lease: float) -> JobRecord | None:
    """
    Start the next attempt of a queued job.

    Args:
        store: where the job lives.
        job_id: its id.
        worker: the id of the worker that will run it.
        lease: seconds for which it is believed to be alive without a `renew`.

    Returns:
        The record, with its input and a new token; ``None`` where there is
        nothing to start: a duplicate message, a job that was cancelled, or
        whose time in the queue is over, or that the store does not know.
    """
    guard = Guard(job_id=job_id, status=JobStatus.queued, when=When.startable)
    return store.compare_and_set(
        guard, JobStatus.running, claim_changes(worker=worker, lease=lease)
    )


def renew(
    store: JobStore, record: JobRecord, *, lease: float, progress: Progress | None = None
) -> JobRecord:
    """
    Say that a running attempt lives, and how far it is.

    The record has the newest progress; the job's events have the newest
    `PROGRESS_EVENTS` of it and no more, however often an op reports.

    The record that comes back tells whether somebody wants it to end
    (``cancel_requested``).

    Raises:
        StaleAttempt: the attempt is no longer the job's own.
    """
    changes: Changes = {"lease_until": FromNow(lease)}
    event = None
    if progress is not None:
        changes["progress"] = progress
        event = NewEvent(kind="progress", data=_facts(progress), keep=PROGRESS_EVENTS)
    return _own(record, store.compare_and_set(_mine(record), None, changes, event=event))


def complete(
    store: JobStore,
    record: JobRecord,
    *,
    value_json: str | None,
    versions: Mapping[str, str] | None = None,
    manifest_json: str | None = None,
    value_ref: str | None = None,
    output: str | None = None,
) -> JobRecord:
    """
    Commit the result of a running attempt: value and status in one step.

    Without a manifest the job is ``done``. With one it is not ``done`` before its
    models are published: it stays ``running`` (`Reason.PUBLISHING`), its outcome is
    decided, and `mark_published` makes it ``done``.

    A job that was asked to end but finished is done.

    Args:
        store: where the job lives.
        record: the record that the claim returned, or a later one of the attempt.
        value_json: the result as JSON text.
        versions: node name to version, as text.
        manifest_json: the manifest of the trained models, to publish.
        value_ref: where else the result is kept; apps of the core keep none there.
        output: what it printed, kept as an event.

    Raises:
        StaleAttempt: the attempt is no longer the job's own; nothing was written.
    """
    outcome: Changes = {
        "error": None,
        "value_json": value_json,
        "value_ref": value_ref,
        "versions": dict(versions or {}),
        "manifest_json": manifest_json,
    }
    guard = _mine(record)
    if manifest_json is None:
        changes = finished_changes(record) | {"reason": None} | outcome
        written = store.compare_and_set(guard, JobStatus.done, changes, output=output)
    else:
        changes = publishing_changes() | outcome
        event = NewEvent(kind="publishing")
        written = store.compare_and_set(guard, None, changes, event=event, output=output)
    return _own(record, written)


def fail(
    store: JobStore,
    record: JobRecord,
    *,
    reason: str,
    error: JobError | None = None,
    retryable: bool,
    output: str | None = None,
) -> JobRecord:
    """
    End a running attempt that went wrong: try again, or fail.

    A *retryable* job with attempts left becomes ``queued``, or ``deferred``
    for ``retry_delay``, doubled for each further attempt. Without attempts
    left it fails with *reason*, except that a job of several attempts whose
    last worker was lost fails with ``attempts_exhausted``. A job that somebody
    asked to end is not tried again.

    Raises:
        StaleAttempt: the attempt is no longer the job's own; nothing was written.
    """

    def outcome(current: JobRecord) -> Outcome:
        return after_failure(current, reason=reason, error=error, retryable=retryable)

    return _end_attempt(store, record, outcome, output)


def release(
    store: JobStore,
    record: JobRecord,
    *,
    reason: str,
    delay: float = 0.0,
    error: JobError | None = None,
) -> JobRecord:
    """
    Hand a running job back as if it had not been started: the attempt does not count.

    Its time in the queue begins anew, except where a worker of other code has to take it
    (``unknown_pipeline``, ``version_conflict``): then it goes on, so that it ends some
    day. A job
    that somebody asked to end fails as ``cancelled`` instead.

    Args:
        store: where the job lives.
        record: the record that the claim returned, or a later one of the attempt.
        reason: why; see `Reason`.
        delay: seconds for which nobody may start it.
        error: more of why.

    Raises:
        StaleAttempt: the attempt is no longer the job's own; nothing was written.
    """

    def outcome(current: JobRecord) -> Outcome:
        if current.cancel_requested:
            return JobStatus.failed, finished_changes(current) | {"reason": Reason.CANCELLED}
        status, changes = again(current, delay)
        if reason in {Reason.UNKNOWN_PIPELINE, Reason.VERSION_CONFLICT}:
            del changes["queue_expires_at"]
        return status, changes | {"reason": reason, "error": error, "attempt": Plus(-1)}

    return _end_attempt(store, record, outcome, None)


# -- what others do to a job


def request_cancel(store: JobStore, job_id: str) -> JobRecord:
    """
    Ask for a job's end.

    One that has not started fails as ``cancelled`` at once. One that runs is
    marked, and its worker ends it. One that is over, or whose outcome is decided
    because it is publishing, stays as it is: see the record that comes back.

    Raises:
        JobNotFound: there is no such job.
    """
    while True:
        record = store.get(job_id)
        if record.status.is_final or record.is_publishing or record.cancel_requested:
            return record
        if record.status is JobStatus.running:
            written = store.compare_and_set(
                _mine(record),
                None,
                {"cancel_requested": True},
                event=NewEvent(kind="cancel_requested"),
            )
        else:
            written = store.compare_and_set(
                _as_it_is(record),
                JobStatus.failed,
                finished_changes(record) | {"reason": Reason.CANCELLED, "cancel_requested": True},
            )
        if written is not None:
            return written


def not_submitted(store: JobStore, record: JobRecord, error: JobError | None = None) -> JobRecord:
    """
    Fail a job that was certainly not handed over.

    Returns:
        The record as it is now: something else, if somebody was quicker.
    """
    changes = finished_changes(record) | {"reason": Reason.NOT_SUBMITTED, "error": error}
    written = store.compare_and_set(_as_it_is(record), JobStatus.failed, changes)
    return written or _latest(store, record) or record


def mark_published(store: JobStore, record: JobRecord) -> JobRecord | None:
    """
    Move a job to ``done``: its trained models are in the op store.

    Returns:
        The record as written; ``None`` if another process noted it first, or if
        there is nothing to note.
    """
    if not record.is_unpublished:
        return None
    guard = unpublished_guard(record)
    if record.is_publishing:
        changes = finished_changes(record) | after_publication()
        return store.compare_and_set(guard, JobStatus.done, changes)
    # An older release wrote ``done`` first.
    changes = {"published_at": FromNow(), "resend_at": None}
    return store.compare_and_set(guard, None, changes, event=NewEvent(kind="published"))


def unpublished_guard(record: JobRecord, when: When = When.unpublished) -> Guard:
    """
    Return a guard: no process has noted the publication of the job's models since
    *record* was read.
    """
    return Guard(job_id=record.id, status=record.status, token=record.token, when=when)


# -- guards


def _mine(record: JobRecord, *, exactly: bool = False) -> Guard:
    """
    That the attempt is still the job's own.
    """
    return Guard(
        job_id=record.id,
        status=JobStatus.running,
        attempt=record.attempt,
        token=record.token,
        cancel_requested=record.cancel_requested if exactly else None,
    )


def _as_it_is(record: JobRecord) -> Guard:
    """
    That nobody has started or sent the job since *record* was read.
    """
    return Guard(
        job_id=record.id,
        status=record.status,
        attempt=record.attempt,
        token=record.token,
        generation=record.generation,
    )


def _own(record: JobRecord, written: JobRecord | None) -> JobRecord:
    if written is not None:
        return written
    raise StaleAttempt(
        f"attempt {record.attempt} of job {record.id!r} is no longer the job's own "
        f"(token {record.token}): it was settled by somebody else; drop its outcome",
        job_id=record.id,
    )


def _end_attempt(
    store: JobStore, record: JobRecord, outcome: Callable[[JobRecord], Outcome], output: str | None
) -> JobRecord:
    """
    End an attempt as *outcome* says, even if somebody asks for the job's end
    at the same moment.
    """
    current = record
    while True:
        if current.is_publishing:
            return _own(record, None)
        status, changes = outcome(current)
        guard = _mine(current, exactly=True)
        written = store.compare_and_set(guard, status, changes, output=output)
        if written is not None:
            return written
        seen = _latest(store, record)
        if seen is None or (seen.status, seen.token) != (JobStatus.running, record.token):
            return _own(record, None)
        current = seen


def _latest(store: JobStore, record: JobRecord) -> JobRecord | None:
    """
    The record as it is now; ``None`` if its time was over and it has been forgotten.
    """
    try:
        return store.get(record.id)
    except JobNotFound:
        return None


def _facts(progress: Progress) -> dict[str, Any]:
    facts = {
        "done": progress.done,
        "total": progress.total,
        "node": progress.node,
        "message": progress.message,
    }
    return {name: value for name, value in facts.items() if value is not None}
