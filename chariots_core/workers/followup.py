"""
What comes after a change of a job: it is published, handed over, told.
"""

from __future__ import annotations

import logging
from typing import Final

from chariots_core.jobs import lifecycle
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import JobStatus
from chariots_core.workers.contracts import RunnerApp, RunOutcome

logger = logging.getLogger(__name__)

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
    if record.is_unpublished:
        _publish(app, record)
    if record.status is JobStatus.queued:
        _dispatch(app, record)
    emit(app, record)
    return _OUTCOMES[record.status]


def _publish(app: RunnerApp, record: JobRecord) -> None:
    try:
        app.publish(record)
        lifecycle.mark_published(app.job_store, record)
    except Exception:
        logger.exception(
            "what job %s trained is not published yet",
            record.id,
            extra={"action": "publish_failed", "job_id": record.id},
        )


def _dispatch(app: RunnerApp, record: JobRecord) -> None:
    try:
        app.dispatch(record)
    except Exception:
        logger.exception(
            "job %s is not handed to the queue yet",
            record.id,
            extra={"action": "dispatch_failed", "job_id": record.id},
        )


def emit(app: RunnerApp, record: JobRecord) -> None:
    """
    Tell the observers what a job is now.
    """
    try:
        app.emit(record.status.value, record)
    except Exception:
        logger.exception(
            "an observer of job %s failed",
            record.id,
            extra={"action": "observer_failed", "job_id": record.id},
        )
