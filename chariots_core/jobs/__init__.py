"""
Jobs: their record, their states, and the contract of the stores that keep them.
"""

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
    FromNow,
    Guard,
    IdempotencyKey,
    JobQuery,
    JobStore,
    NewEvent,
    Plus,
    QueueJobStore,
    When,
)

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
]
