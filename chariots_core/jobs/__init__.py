"""
Jobs: their record, their states, and the contract of the stores that keep them.
"""

from chariots_core.jobs.changes import FromNow, Guard, NewEvent, Plus, When
from chariots_core.jobs.record import (
    JobError,
    JobEvent,
    JobRecord,
    NewJob,
    Progress,
    WorkerRecord,
    check_job_id,
    is_job_id,
    new_job_id,
)
from chariots_core.jobs.status import TRANSITIONS, JobStatus, Reason, check_transition
from chariots_core.jobs.store import (
    Created,
    IdempotencyKey,
    JobQuery,
    JobStore,
    QueueJobStore,
)
from chariots_core.jobs.waking import wake_at

__all__ = [
    "TRANSITIONS",
    "Created",
    "FromNow",
    "Guard",
    "IdempotencyKey",
    "JobError",
    "JobEvent",
    "JobQuery",
    "JobRecord",
    "JobStatus",
    "JobStore",
    "NewEvent",
    "NewJob",
    "Plus",
    "Progress",
    "QueueJobStore",
    "Reason",
    "When",
    "WorkerRecord",
    "check_job_id",
    "check_transition",
    "is_job_id",
    "new_job_id",
    "wake_at",
]
