"""
The way of a submission: the record first, then the hand-over, and what becomes of its errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from chariots_core.errors import (
    BackendUnavailable,
    BrokerUnavailable,
    ChariotsError,
    StoreUnavailable,
    SubmissionUnknown,
)
from chariots_core.jobs import lifecycle
from chariots_core.jobs.record import JobError, JobRecord, NewJob
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs.store import IdempotencyKey

if TYPE_CHECKING:
    from chariots_core.workers.pool import BaseWorkerPool


def submit(pool: BaseWorkerPool, job: NewJob, idempotency: IdempotencyKey | None) -> JobRecord:
    """
    Record a job that *pool* supports and hand it over; see `BaseWorkerPool.submit_job`.
    """
    resend_after = pool.resend_after if job.resend_after is None else job.resend_after
    job = attrs.evolve(job, backend=pool.name, resend_after=resend_after)
    try:
        created = None
        if job.delay == 0 and not pool.app.plugins.watch_hand_overs:
            created = pool.record_and_submit(job, idempotency)
        handed_over = created is not None
        created = created or pool.job_store().create(job, idempotency=idempotency)
    except StoreUnavailable as error:
        # A connection that breaks during the commit tells nothing: whether the
        # job was recorded is known by its id, once the store is back.
        error.job_id = job.id
        raise
    record = created.record
    # An earlier job was handed over when it was made; `tick` sees to it if not.
    if not created.replayed:
        if record.status is JobStatus.queued and not handed_over:
            _hand_over(pool, record)
        pool.app.emit(record.status.value, record)
    return record


def _hand_over(pool: BaseWorkerPool, record: JobRecord) -> None:
    try:
        pool.dispatch(record)
    except Exception as error:
        if not _is_certain(error):
            raise _unknown(pool, record, error) from error
        _fail(pool, record, error)
        raise


def _is_certain(error: Exception) -> bool:
    """
    Whether the job was not handed over, and everybody knows.
    """
    if isinstance(error, BackendUnavailable):
        return isinstance(error, BrokerUnavailable)
    return isinstance(error, ChariotsError)


def _fail(pool: BaseWorkerPool, record: JobRecord, error: Exception) -> None:
    if isinstance(error, BrokerUnavailable):
        error.job_id = record.id
    why = JobError(type=type(error).__name__, message=str(error))
    try:
        failed = lifecycle.not_submitted(pool.job_store(), record, why)
    except BackendUnavailable as unwritten:
        raise _unknown(pool, record, error) from unwritten
    pool.app.emit(failed.status.value, failed)


def _unknown(pool: BaseWorkerPool, record: JobRecord, error: Exception) -> SubmissionUnknown:
    return SubmissionUnknown(
        f"backend {pool.name!r} may or may not have taken job {record.id!r} "
        f"({type(error).__name__}): it stays queued and is handed over again; "
        f"ask for that job instead of submitting it anew",
        job_id=record.id,
    )
