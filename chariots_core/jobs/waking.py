"""
When a job next wants attention.
"""

from __future__ import annotations

from datetime import datetime

from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import JobStatus


def wake_at(record: JobRecord) -> datetime | None:
    """
    When somebody has to look at a job, unless something else happens to it
    before; ``None``: never.

    ==============================  ==============================================
    ``running``                     when its lease runs out
    ``running``, publishing         when the publication is tried next
    ``queued``                      when it is handed over again, or its time in
                                    the queue ends, whichever is first
    ``deferred``                    when its time comes, or its time in the queue
                                    ends, whichever is first
    ``done``, not yet published     when the publication is tried again; before
                                    the first try, since it finished (records of
                                    older releases)
    ``done`` or ``failed``          never
    ==============================  ==============================================

    A store that cannot index an expression keeps it beside the record.
    """
    match record.status:
        case JobStatus.running:
            return record.resend_at if record.is_publishing else record.lease_until
        case JobStatus.queued:
            return _first(record.resend_at, record.queue_expires_at)
        case JobStatus.deferred:
            return _first(record.due_at, record.queue_expires_at)
        case JobStatus.done if record.is_unpublished:
            return record.resend_at or record.finished_at
        case _:
            return None


def _first(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)
