"""
How a change of a job is put to its store: a guard, new values, and an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import attrs

from chariots_core.jobs.record import storable_text
from chariots_core.jobs.status import JobStatus

#: Progress events that are kept for each job: enough for a list of what it did
#: lately. Each says how far the run is, whatever came before, so a reader that
#: misses some still knows the truth; states and outputs are all kept.
PROGRESS_EVENTS: Final = 50


@attrs.frozen
class FromNow:
    """
    A time that the store sets by its own clock: now, plus *seconds*.
    """

    seconds: float = 0.0


@attrs.frozen
class Plus:
    """
    A counter that the store raises (or lowers) by *n* as it writes.
    """

    n: int = 1


class When(Enum):
    """
    A condition of time that must hold as the store writes, by its own clock.
    """

    #: the time in the queue has not ended
    startable = "startable"
    #: a running attempt's lease has run out
    lease_expired = "lease_expired"
    #: a deferred job's time has come
    due = "due"
    #: a queued job was handed over too long ago, or a publication is due
    resend_due = "resend_due"
    #: the time in the queue has ended
    queue_expired = "queue_expired"
    #: it has a manifest that is not marked as published, whatever the time
    unpublished = "unpublished"


@attrs.frozen(kw_only=True)
class Guard:
    """
    What must be so for a change to be made.

    Attributes:
        job_id: the job.
        status: its status.
        attempt: its attempt, if that matters.
        token: its fencing token, if that matters.
        generation: its dispatch generation, if that matters.
        cancel_requested: whether somebody has asked for its end, if that matters.
        when: a condition of time, if one matters.
    """

    job_id: str
    status: JobStatus
    attempt: int | None = None
    token: int | None = None
    generation: int | None = None
    cancel_requested: bool | None = None
    when: When | None = None


@attrs.frozen(kw_only=True)
class NewEvent:
    """
    An event to be written together with a change; see `JobEvent`.

    Attributes:
        kind: what kind of event it is.
        data: anything JSON.
        keep: how many events of its kind the job has at most once it is
            written: the oldest of them make room. ``None``: all are kept.
    """

    kind: str = attrs.field(validator=storable_text)
    data: Mapping[str, Any] = attrs.field(factory=dict)
    keep: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.ge(1))
    )


#: The fields of a record that a change may set.
CHANGEABLE: Final = frozenset(
    {
        "reason",
        "value_json",
        "value_ref",
        "versions",
        "error",
        "attempt",
        "progress",
        "worker",
        "token",
        "lease_until",
        "generation",
        "resend_at",
        "due_at",
        "queue_expires_at",
        "queued_at",
        "started_at",
        "finished_at",
        "expires_at",
        "cancel_requested",
        "manifest_json",
        "published_at",
    }
)
