"""
What comes after a change of a job: it is published, handed over, told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from chariots_core.errors import StaleAttempt
from chariots_core.jobs import lifecycle
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import JobStatus
from chariots_core.workers.contracts import RunnerApp, RunOutcome

logger = logging.getLogger(__name__)

_NOT_PUBLISHED: Final = "job %s is not published yet; a later tick publishes it"

_OUTCOMES: Final = {
    JobStatus.done: RunOutcome.DONE,
    JobStatus.failed: RunOutcome.FAILED,
    JobStatus.queued: RunOutcome.RETRIED,
    JobStatus.deferred: RunOutcome.RETRIED,
}


def follow_up(app: RunnerApp, record: JobRecord) -> RunOutcome:
    """
    What comes after a commit. Whatever fails here, `tick` does again.
    """
    if record.is_publishing:
        _try(_publish, app, record, _NOT_PUBLISHED, "publish_failed")
        # The outcome is decided, even if another process will make the job `done`.
        return RunOutcome.DONE
    if record.status is JobStatus.queued:
        _try(_dispatch, app, record, "job %s is not handed to the queue yet", "dispatch_failed")
    emit(app, record)
    return _OUTCOMES[record.status]


def stale_outcome(record: JobRecord, stale: StaleAttempt) -> RunOutcome:
    """
    What comes of an attempt that is no longer its job's own: a line in the log.
    """
    logger.warning(
        "attempt %d of job %s commits nothing: %s",
        record.attempt,
        record.id,
        stale,
        extra={"action": "attempt_stale", "job_id": record.id},
    )
    return RunOutcome.STALE


def emit(app: RunnerApp, record: JobRecord) -> None:
    """
    Tell the observers what a job is now.
    """
    _try(_emit, app, record, "an observer of job %s failed", "observer_failed")


def _publish(app: RunnerApp, record: JobRecord) -> None:
    # The process that makes the job `done` notifies the observers.
    app.publish(record)
    written = lifecycle.mark_published(app.job_store, record)
    if written is not None:
        emit(app, written)


def _dispatch(app: RunnerApp, record: JobRecord) -> None:
    app.dispatch(record)


def _emit(app: RunnerApp, record: JobRecord) -> None:
    app.emit(record.status.value, record)


def _try(
    call: Callable[[RunnerApp, JobRecord], None],
    app: RunnerApp,
    record: JobRecord,
    failure: str,
    action: str,
) -> None:
    try:
        call(app, record)
    except Exception:
        logger.exception(failure, record.id, extra={"action": action, "job_id": record.id})
