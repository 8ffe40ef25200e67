"""
The five states of a job, the moves between them, and the reasons that say more.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType
from typing import Final

from chariots_core.errors import InvalidTransition


class JobStatus(Enum):
    """
    What a job is doing. Closed: a reader may rely on these five.

    A plain enumeration, so that it prints as ``JobStatus.queued``.
    """

    queued = "queued"
    running = "running"
    done = "done"
    failed = "failed"
    deferred = "deferred"

    @property
    def is_final(self) -> bool:
        """
        Whether the job's story is over: a final record never changes its status.
        """
        return self in FINAL


class Reason:
    """
    Why a job has its status, as open text: new ones may come at any time.
    """

    ATTEMPTS_EXHAUSTED: Final = "attempts_exhausted"
    CANCELLED: Final = "cancelled"
    EXPIRED_IN_QUEUE: Final = "expired_in_queue"
    FRAMEWORK_ERROR: Final = "framework_error"
    MODEL_UNAVAILABLE: Final = "model_unavailable"
    NOT_SUBMITTED: Final = "not_submitted"
    PUBLICATION_FAILED: Final = "publication_failed"
    PUBLISHING: Final = "publishing"
    RESULT_NOT_SERIALIZABLE: Final = "result_not_serializable"
    RESULT_TOO_LARGE: Final = "result_too_large"
    RETRYING: Final = "retrying"
    SCHEDULED: Final = "scheduled"
    STORE_UNAVAILABLE: Final = "store_unavailable"
    TIMEOUT: Final = "timeout"
    TRAINING_IN_PROGRESS: Final = "training_in_progress"
    UNKNOWN_PIPELINE: Final = "unknown_pipeline"
    USER_ERROR: Final = "user_error"
    VERSION_CONFLICT: Final = "version_conflict"
    WORKER_LOST: Final = "worker_lost"
    WORKER_STOPPED: Final = "worker_stopped"


FINAL: Final = frozenset({JobStatus.done, JobStatus.failed})

#: From each status (``None``: no record yet), the ones that may follow it.
TRANSITIONS: Final = MappingProxyType(
    {
        None: frozenset({JobStatus.queued, JobStatus.deferred}),
        JobStatus.deferred: frozenset({JobStatus.queued, JobStatus.failed}),
        JobStatus.queued: frozenset({JobStatus.running, JobStatus.failed}),
        JobStatus.running: frozenset(
            {JobStatus.done, JobStatus.failed, JobStatus.queued, JobStatus.deferred}
        ),
        JobStatus.done: frozenset(),
        JobStatus.failed: frozenset(),
    }
)


def check_transition(
    before: JobStatus | None, after: JobStatus, *, job_id: str | None = None
) -> None:
    """
    Refuse a move that the table does not have.

    Raises:
        InvalidTransition: *after* may not follow *before*.
    """
    if after not in TRANSITIONS[before]:
        start = before.value if before else "(none)"
        raise InvalidTransition(
            f"job {job_id!r} cannot go from {start} to {after.value}: "
            f"only {sorted(s.value for s in TRANSITIONS[before]) or 'nothing'} may follow {start}",
            job_id=job_id,
        )
