"""
`tick`: settles what time has made due, whoever runs it, as often as they like.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from chariots_core.errors import BackendUnavailable
from chariots_core.jobs import outcomes
from chariots_core.jobs.publication import attempted, publish_due
from chariots_core.jobs.record import JobError, JobRecord
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import Guard, JobStore, When

#: Seconds that a tick should take at most where something else waits for its end.
TICK_BUDGET: Final = 1.0

_Act = Callable[[JobRecord], object]
_Changes = Mapping[str, Any]


@attrs.frozen(kw_only=True)
class TickReport:
    """
    What a tick did.

    Attributes:
        retried: attempts whose worker was lost, and that will be tried again.
        lost: jobs that failed, or ended as cancelled, with their lost worker.
        due: deferred jobs whose time had come.
        resent: queued jobs that were handed over once more.
        expired: jobs that failed because nobody started them in time.
        published: jobs whose trained models were published; they are done.
        abandoned: jobs that failed because their models could not be published
            for too long.
        errors: hand-overs and publications that raised; they are tried again.
        postponed: hand-overs that were left to a later resending, because the
            queue was out of reach.
        forgotten: final jobs whose time was over.
        changed: the records that this tick wrote, as written.
    """

    retried: int = 0
    lost: int = 0
    due: int = 0
    resent: int = 0
    expired: int = 0
    published: int = 0
    abandoned: int = 0
    errors: int = 0
    postponed: int = 0
    forgotten: int = 0
    changed: tuple[JobRecord, ...] = ()


def tick(
    store: JobStore,
    *,
    dispatch: _Act,
    publish: _Act,
    job_id: str | None = None,
    limit: int = 100,
    budget: float | None = None,
) -> TickReport:
    """
    Settle what time has made due: lost workers, retries and scheduled jobs,
    messages that a queue may have lost, jobs that nobody started, models that
    were not published, final records whose time is over.

    Any number of processes may tick at once: each change is made by exactly
    one of them, which then hands the job over. Where nothing is due, it costs
    a look into an index or two.

    A queue that is out of reach is waited for once: after the first hand-over
    that ends in `BackendUnavailable` or `TimeoutError`, jobs that are to be
    resent anyway are not handed over by this tick.

    Args:
        store: where the jobs live.
        dispatch: hands a job that became ``queued`` to its queue.
        publish: publishes what a job trained; must be idempotent, for two
            processes may do it at once.
        job_id: look at this job only, and forget nothing.
        limit: how many jobs to settle at most.
        budget: seconds after which nothing more is begun; the rest stays due.

    Raises:
        StoreUnavailable: the store did not answer; an error of *dispatch* or
            *publish* is logged, and the rest goes on.
    """
    ends = math.inf if budget is None else time.monotonic() + budget
    due = store.due(job_id=job_id, limit=limit)
    counts: Counter[str] = Counter()
    changed: list[JobRecord] = []
    hand_over = _HandOver(dispatch)
    now = store.now() if due else None
    for record in due:
        assert now is not None
        what, written = _settle(store, record, now, publish)
        if written is not None:
            changed.append(written)
            counts[what] += 1
        elif what == "errors":
            counts[what] += 1
        if written is not None and written.status is JobStatus.queued:
            counts.update(hand_over(written))
        if time.monotonic() >= ends:
            break
    forgotten = store.expire() if job_id is None else 0
    return TickReport(**counts, forgotten=forgotten, changed=tuple(changed))


class _HandOver:
    """
    Hands jobs over, as long as the queue can be reached.
    """

    def __init__(self, dispatch: _Act) -> None:
        self._dispatch = dispatch
        self._out_of_reach = False

    def __call__(self, record: JobRecord) -> tuple[str, ...]:
        """
        Hand *record* over; what is to be counted beside.
        """
        # One that is never resent is tried all the same: nobody else would.
        if self._out_of_reach and record.resend_at is not None:
            return ("postponed",)
        error = attempted(self._dispatch, record, "hand over")
        if isinstance(error, (BackendUnavailable, TimeoutError)):
            self._out_of_reach = True
        return () if error is None else ("errors",)


def _settle(
    store: JobStore, record: JobRecord, now: datetime, publish: _Act
) -> tuple[str, JobRecord | None]:
    """
    Make the one change that is due: what it was, and the record if we made it.
    """
    if record.is_unpublished:
        return publish_due(store, record, now, publish)
    if record.status is JobStatus.running:
        return _settle_lost(store, record)
    if record.queue_expires_at is not None and record.queue_expires_at <= now:
        return "expired", _change(
            store, record, When.queue_expired, *outcomes.after_queue_timeout(record)
        )
    if record.status is JobStatus.deferred:
        return "due", _change(store, record, When.due, *outcomes.after_waiting(record))
    changes = outcomes.resend_changes(record)
    return "resent", _change(store, record, When.resend_due, JobStatus.queued, changes)


def _settle_lost(store: JobStore, record: JobRecord) -> tuple[str, JobRecord | None]:
    status, changes = outcomes.after_failure(
        record,
        reason=Reason.WORKER_LOST,
        error=JobError(
            type="WorkerLost",
            message=f"worker {record.worker!r} stopped renewing its lease "
            f"during attempt {record.attempt} of {record.max_attempts}",
        ),
        retryable=True,
    )
    what = "lost" if status is JobStatus.failed else "retried"
    return what, _change(store, record, When.lease_expired, status, changes)


def _change(
    store: JobStore, record: JobRecord, when: When, status: JobStatus, changes: _Changes
) -> JobRecord | None:
    guard = Guard(
        job_id=record.id,
        status=record.status,
        attempt=record.attempt,
        token=record.token,
        generation=record.generation,
        cancel_requested=record.cancel_requested,
        when=when,
    )
    return store.compare_and_set(guard, status, changes)
