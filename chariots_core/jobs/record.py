"""
The values that tell a job's story: what was asked, what is so, what happened.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from chariots_core.errors import IdempotencyKeyInvalid, JobNotFound
from chariots_core.jobs.status import JobStatus, Reason

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_JOB_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_LARGEST: Final = 10**9


def new_job_id() -> str:
    """
    A fresh id: 32 hexadecimal digits that nobody can guess.
    """
    return secrets.token_hex(16)


def is_job_id(job_id: object) -> bool:
    """
    Whether *job_id* has the form of one: 1 to 64 letters, digits, ``_`` or ``-``.
    """
    return isinstance(job_id, str) and _JOB_ID.fullmatch(job_id) is not None


def check_job_id(job_id: object) -> str:
    """
    Return *job_id* if it has the form of one, before any store is asked for it.

    Raises:
        JobNotFound: it is not a text of 1 to 64 letters, digits, ``_`` or ``-``.
    """
    if isinstance(job_id, str) and _JOB_ID.fullmatch(job_id):
        return job_id
    raise JobNotFound(
        f"no job {_shown(job_id)}: a job id is 1 to 64 letters, digits, '_' or '-'",
        job_id=job_id if isinstance(job_id, str) else None,
    )


def check_idempotency_key(key: object) -> str:
    """
    Return *key* if a header can carry it.

    Raises:
        IdempotencyKeyInvalid: it is not a text of 1 to 255 visible ASCII characters.
    """
    if isinstance(key, str) and _KEY.fullmatch(key):
        return key
    raise IdempotencyKeyInvalid(
        f"idempotency key {_shown(key)} cannot be used: give 1 to 255 visible ASCII "
        "characters, no spaces"
    )


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def is_storable(text: str) -> bool:
    """
    Whether every store can keep *text*: it has no NUL and no lone surrogate.
    """
    return "\x00" not in text and (text.isascii() or _is_unicode(text))


def check_text(name: str, text: str) -> None:
    """
    Return if every store can keep *text*.

    Raises:
        ValueError: it cannot; the message says *name*.
    """
    if not is_storable(text):
        raise ValueError(
            f"{name} has a character that no store can keep: leave out NUL and lone surrogates"
        )


def storable_text(_instance: object, field: Any, value: Any) -> None:
    """
    A validator: text that every store can keep, or ``None``.
    """
    if value is not None:
        check_text(field.name, value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _whole_number(_instance: object, field: Any, value: object) -> None:
    if not isinstance(value, int) or not -_LARGEST <= value <= _LARGEST:
        raise ValueError(
            f"{field.name}={value!r}: write a whole number from -{_LARGEST} to {_LARGEST}"
        )


def _seconds(_instance: object, field: Any, value: float | None) -> None:
    # The comparison is false for what is not a number, too.
    if value is not None and not 0 <= value < math.inf:
        raise ValueError(f"{field.name}={value!r}: write a number of seconds, 0 or more")


@attrs.frozen(kw_only=True)
class JobError:
    """
    An exception, as data that may cross processes.

    Attributes:
        type: the class's name, e.g. ``"KeyError"``, with its module where that
            is not ``builtins``.
        message: its text, bounded.
        node: the node that raised, if one did.
        traceback: its text, bounded; shown to a client only where debugging is on.
    """

    type: str
    message: str
    node: str | None = None
    traceback: str | None = None


@attrs.frozen(kw_only=True)
class Progress:
    """
    How far a run is.

    Attributes:
        done: steps done.
        total: steps in all, if that is known.
        node: the node at work.
        message: a sentence of the op's own.
    """

    done: float
    total: float | None = None
    node: str | None = None
    message: str | None = None


@attrs.frozen(kw_only=True)
class NewJob:
    """
    What is known of a job before it is written; times and counters are the store's.

    Attributes:
        id: the job's id.
        pipeline: the name of a pipeline of the app.
        backend: the name of the backend that will carry it.
        queue: the queue's name within the app.
        input_json: the input as JSON text; ``None`` where there is none or
            where *input_ref* names it.
        input_ref: where else the input is kept; apps of the core read none from there.
        priority: higher first; equal ones in order of submission.
        max_attempts: how many times it may be started in all.
        retry_delay: seconds before the second attempt; doubled for each further one.
        timeout: seconds that one attempt may take; ``None``: no bound.
        queue_timeout: seconds after which a job that nobody could start fails;
            ``None``: it waits for as long as it takes.
        delay: seconds before it may start; more than 0 makes it ``deferred``.
        result_ttl: seconds for which a final record is kept.
        code: a digest of the code that the submitter has for the pipeline's ops;
            ``None``: any worker may run it.
        resend_after: seconds after which a job that is still queued is handed
            over again; ``None`` where the store itself is the queue.
    """

    id: str = attrs.field(factory=new_job_id, converter=check_job_id)
    pipeline: str = attrs.field(validator=storable_text)
    backend: str = attrs.field(validator=storable_text)
    queue: str = attrs.field(default="default", validator=storable_text)
    input_json: str | None = attrs.field(default=None, validator=storable_text, repr=False)
    input_ref: str | None = attrs.field(default=None, validator=storable_text)
    priority: int = attrs.field(default=0, validator=_whole_number)
    max_attempts: int = attrs.field(default=1, validator=(_whole_number, attrs.validators.ge(1)))
    retry_delay: float = attrs.field(default=0.0, validator=_seconds)
    timeout: float | None = attrs.field(default=None, validator=_seconds)
    queue_timeout: float | None = attrs.field(default=None, validator=_seconds)
    delay: float = attrs.field(default=0.0, validator=_seconds)
    result_ttl: float = attrs.field(default=7 * 24 * 3600.0, validator=_seconds)
    resend_after: float | None = attrs.field(default=None, validator=_seconds)
    code: str | None = attrs.field(default=None, validator=storable_text)


@attrs.frozen(kw_only=True)
class JobRecord:
    """
    All that is known of one job. Times are aware and in UTC, by the store's clock.

    The first fields are those of `NewJob`.

    Attributes:
        seq: the store's running number: the order of submission.
        app: the app's name.
        status: one of the five.
        reason: why, as open text; see `Reason`.
        value_json: the result as JSON text: ``"null"`` is a result, ``None`` is none.
            While the job is publishing, it is not for readers; see `shown`.
        value_ref: where else the result is kept; apps of the core keep none there.
        versions: node name to version, as text.
        error: what went wrong, once the job has failed or is being retried, or
            when its models could not be published yet.
        attempt: which start this is; 0 before the first.
        token: the fencing token: a commit must name the newest one. Each claim
            raises it, and so does the commit of an outcome with a manifest:
            from then on no attempt owns the job.
        progress: how far the attempt is, or was when the job ended; like
            *worker* and *started_at*, ``None`` while it waits for an attempt.
        worker: the id of the worker that runs it, or ran it last before it ended.
        lease_until: until when a running attempt is believed to be alive.
        generation: how many times it was handed to the queue; 0 for a scheduled
            job whose time has not come.
        resend_at: when it is handed over again, if still queued; for a job that
            is publishing, when any process tries to publish its models.
        due_at: when a deferred job becomes queued.
        queue_expires_at: when a job that no worker started fails; for a job that is
            publishing, when it fails if its models still cannot be published.
        cancel_requested: whether somebody asked for its end.
        manifest_json: what it trained, to be published; ``None``: nothing.
        published_at: when that was published.
    """

    id: str
    seq: int
    app: str
    pipeline: str
    backend: str
    queue: str
    status: JobStatus
    reason: str | None = None
    input_json: str | None = attrs.field(default=None, repr=False)
    input_ref: str | None = None
    value_json: str | None = attrs.field(default=None, repr=False)
    value_ref: str | None = None
    versions: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    error: JobError | None = None
    attempt: int = 0
    max_attempts: int = 1
    retry_delay: float = 0.0
    timeout: float | None = None
    priority: int = 0
    progress: Progress | None = None
    worker: str | None = None
    token: int = 0
    lease_until: datetime | None = None
    generation: int = 1
    resend_at: datetime | None = None
    due_at: datetime | None = None
    queue_timeout: float | None = None
    queue_expires_at: datetime | None = None
    resend_after: float | None = None
    code: str | None = None
    result_ttl: float = 7 * 24 * 3600.0
    created_at: datetime
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    cancel_requested: bool = False
    manifest_json: str | None = attrs.field(default=None, repr=False)
    published_at: datetime | None = None

    @property
    def input(self) -> Any:
        """
        The input, decoded; ``None`` where there is none.
        """
        return None if self.input_json is None else json.loads(self.input_json)

    @property
    def value(self) -> Any:
        """
        The result, decoded; ``None`` where there is none yet.
        """
        if self.value_json is None or self.is_publishing:
            return None
        return json.loads(self.value_json)

    @property
    def is_publishing(self) -> bool:
        """
        Whether the outcome is decided, and the job becomes ``done`` once its models
        are published: no lost lease, time-out or cancel request changes it any more.
        """
        return self.status is JobStatus.running and self.reason == Reason.PUBLISHING

    @property
    def shown(self) -> JobRecord:
        """
        The record for readers: value, versions and manifest of a job that is
        publishing are left out.
        """
        if not self.is_publishing:
            return self
        return attrs.evolve(self, value_json=None, value_ref=None, versions={}, manifest_json=None)

    @property
    def is_unpublished(self) -> bool:
        """
        Whether its outcome is decided and the op store may not know its models yet.

        Releases before this one wrote ``done`` before the publication: such a
        record is unpublished as long as its manifest is not marked as published.
        """
        return self.is_publishing or (
            self.status is JobStatus.done
            and self.manifest_json is not None
            and self.published_at is None
        )


@attrs.frozen(kw_only=True)
class JobEvent:
    """
    One thing that happened to a job, in order.

    Attributes:
        seq: a number that grows from each event of the job to the next.
        job_id: whose event it is.
        at: when, by the store's clock.
        kind: ``"state"``, ``"progress"``, ``"output"``, …: open text.
        status: the status after it.
        reason: the reason after it.
        attempt: the attempt it belongs to.
        data: anything JSON.
    """

    seq: int
    job_id: str
    at: datetime
    kind: str
    status: JobStatus
    reason: str | None = None
    attempt: int = 0
    data: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class WorkerRecord:
    """
    A worker process, as its heart-beat tells.

    Attributes:
        id: new for each process.
        backend: the backend it consumes from.
        queues: the queues it takes jobs from.
        host: the machine's name.
        pid: the process id on that machine.
        state: ``"idle"``, ``"busy"`` or ``"stopping"``.
        job_id: the job it runs.
        started_at: when it was first seen, by the store's clock.
        seen_at: when it was last seen, by the store's clock.
    """

    id: str = attrs.field(validator=storable_text)
    backend: str = attrs.field(validator=storable_text)
    queues: tuple[str, ...] = ("default",)
    host: str = attrs.field(default="", validator=storable_text)
    pid: int = 0
    state: str = attrs.field(default="idle", validator=storable_text)
    job_id: str | None = attrs.field(default=None, validator=storable_text)
    started_at: datetime | None = None
    seen_at: datetime | None = None
