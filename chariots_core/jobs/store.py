"""
The contract of a job store: the truth about jobs, whatever queue carries their ids.

A store is small on purpose. It knows how to write a record, change it under a
guard, and find what time has made due; *which* changes are made, and when, is
the business of `chariots_core.jobs.lifecycle`, once for all stores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol

import attrs

from chariots_core.jobs.changes import (
    CHANGEABLE,
    FromNow,
    Guard,
    NewEvent,
    Plus,
    When,
)
from chariots_core.jobs.processes import ProcessRecord
from chariots_core.jobs.record import (
    JobEvent,
    JobRecord,
    NewJob,
    WorkerRecord,
    check_text,
    storable_text,
)
from chariots_core.jobs.status import JobStatus, check_transition

__all__ = [
    "CHANGEABLE",
    "Created",
    "FromNow",
    "Guard",
    "IdempotencyKey",
    "JobQuery",
    "JobStore",
    "NewEvent",
    "Plus",
    "QueueJobStore",
    "When",
]


@attrs.frozen(kw_only=True)
class IdempotencyKey:
    """
    A caller's own name for a request, so that sending it twice makes one job.

    Attributes:
        key: the name, unique within the app.
        digest: SHA-256 of the request's canonical body, in hexadecimal digits.
    """

    key: str = attrs.field(validator=storable_text)
    digest: str = attrs.field(validator=storable_text)


@attrs.frozen(kw_only=True)
class Created:
    """
    The answer to a creation.

    Attributes:
        record: the job as written, or the earlier one.
        replayed: whether it is the earlier one.
    """

    record: JobRecord
    replayed: bool = False


@attrs.frozen(kw_only=True)
class JobQuery:
    """
    Which jobs to list: newest first.

    A text that no job can have, because no store could keep it, matches none.

    Attributes:
        status: only this status.
        pipeline: only this pipeline.
        backend: only this backend.
        since: only those created at or after this time.
        before_seq: only those with a smaller ``seq``: the next page.
        limit: how many at most.
    """

    status: JobStatus | None = None
    pipeline: str | None = None
    backend: str | None = None
    since: datetime | None = None
    before_seq: int | None = None
    limit: int = 50


class PendingClaim(Protocol):
    """
    A claim that goes to a store together with the next change; see `JobStore.claim_along`.
    """

    def settle(self) -> JobRecord | None:
        """
        What `chariots_core.jobs.lifecycle.claim` would have returned. One that
        has not been sent is withdrawn. To be called once.

        Raises:
            StoreUnavailable: the answer was lost, so that the job may be claimed.
        """


class JobStore(ABC):
    """
    Where the jobs of one app live. Implementations are thread-safe and fork-safe.

    A handle belongs to one app: it neither sees nor changes the jobs of
    another, even in the same database. Making a handle does no input or
    output; the first use connects.

    Every method may raise `StoreUnavailable`. One that waits for longer than a
    moment asks `chariots_core.patience.is_over` several times a second, and
    raises it once that is so: the loop that watches a job stands still meanwhile.
    """

    #: short name of the kind of store, e.g. ``"sql"``
    kind: ClassVar[str] = "?"

    def __init__(self, *, app: str) -> None:
        self.app = app

    @property
    def shown_address(self) -> str:
        """
        Where the jobs are, for people and logs: without a password.
        """
        return f"a job store of kind {self.kind!r}"

    # -- jobs

    @abstractmethod
    def create(self, job: NewJob, *, idempotency: IdempotencyKey | None = None) -> Created:
        """
        Write a new job: ``queued``, or ``deferred`` (`Reason.SCHEDULED`) if it has a delay.

        One atomic step, together with its first event; how a record begins is
        `chariots_core.jobs.creation.first_fields`. An id or an idempotency key
        that exists already, with the same request, returns the earlier job. Two
        requests under one key are the same if their digests are, two under one
        id if `chariots_core.jobs.creation.is_same_request` says so.

        A job that never started and certainly was not handed over (``failed``,
        `Reason.NOT_SUBMITTED`) holds its names no longer, for its caller was
        told to ask again: a new job takes over its key, while the failed one
        stays readable under its id; a new job of its id replaces it, events
        included. The same goes for a job whose time is over.

        Raises:
            IdempotencyMismatch: the id or the key exists with another request.
        """

    @abstractmethod
    def get(self, job_id: str) -> JobRecord:
        """
        Read one job.

        Raises:
            JobNotFound: the app has no such job, or the id is malformed.
        """

    def compare_and_set(
        self,
        guard: Guard,
        status: JobStatus | None = None,
        changes: Mapping[str, Any] | None = None,
        *,
        event: NewEvent | None = None,
        output: str | None = None,
    ) -> JobRecord | None:
        """
        Change a job if *guard* holds, in one atomic step with *event*.

        Args:
            guard: what must be so.
            status: the status after it; ``None`` leaves it.
            changes: new values of fields in `CHANGEABLE`; a value may be a
                `FromNow` or a `Plus`.
            event: what to write to the job's events; where the status changes
                and nothing is given, a ``"state"`` event without data.
            output: what the job printed: an event ``"output"`` before the other.

        Returns:
            The record as written, or ``None`` if the guard did not hold.

        Raises:
            InvalidTransition: *status* may not follow the guard's.
            ValueError: a field that cannot be changed, or a text that no store
                can keep.
        """
        changes = dict(changes or {})
        if unknown := sorted(changes.keys() - CHANGEABLE):
            raise ValueError(f"fields {unknown} of job {guard.job_id!r} cannot be changed")
        for name, value in changes.items():
            if type(value) is str:
                check_text(name, value)
        if status is not None and status is not guard.status:
            check_transition(guard.status, status, job_id=guard.job_id)
            event = event or NewEvent(kind="state")
        events = () if event is None else (event,)
        if output:
            events = (NewEvent(kind="output", data={"text": output}), *events)
        return self._compare_and_set(guard, status or guard.status, changes, events)

    @abstractmethod
    def _compare_and_set(
        self,
        guard: Guard,
        status: JobStatus,
        changes: Mapping[str, Any],
        events: Sequence[NewEvent],
    ) -> JobRecord | None:
        """
        Do what `compare_and_set` promises; the arguments are checked, and
        *events* are to be written in their order; see `NewEvent.keep`.
        """

    def claim_along(
        self,
        job_id: str,  # noqa: ARG002 - for those that override it
        *,
        worker: str,  # noqa: ARG002
        lease: float,  # noqa: ARG002
    ) -> PendingClaim | None:
        """
        Claim a job together with the next change that this thread makes, in the
        time of one.

        Returns:
            What gives the job after that; ``None``: this store cannot.
        """
        return None

    @abstractmethod
    def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        """
        The jobs that *query* asks for, newest first, without inputs and results.
        """

    @abstractmethod
    def counts(self) -> Mapping[JobStatus, int]:
        """
        How many jobs there are in each status that is not final.
        """

    # -- what time has made due

    @abstractmethod
    def due(self, *, job_id: str | None = None, limit: int = 100) -> Sequence[JobRecord]:
        """
        The jobs, or the one job, whose time has come: `wake_at` of their record
        (`chariots_core.jobs.waking`) is not after the store's clock. The one
        that has waited longest for it comes first; but those that are queued,
        and only to be handed over once more or to be given up, come after all
        others: however many wait in a queue, a lost worker is seen to.

        It is not quite the list of jobs for which a condition of `When` holds:
        ``unpublished`` holds from the commit of an outcome with a manifest on,
        but the job is due when the next try to publish it is.

        Records come without inputs and results.
        """

    @abstractmethod
    def expire(self, *, limit: int = 1000) -> int:
        """
        Forget final jobs whose time is over, and their events; return how many
        jobs that were.

        A job whose manifest is unpublished is kept. Workers that have not been
        believed to be alive for an hour are forgotten, too, whether or not
        there is a job to forget.
        """

    @abstractmethod
    def now(self) -> datetime:
        """
        The store's clock.
        """

    # -- events

    @abstractmethod
    def append_event(self, job_id: str, event: NewEvent) -> JobEvent:
        """
        Write one event of a job that exists; see `NewEvent.keep`.

        Raises:
            JobNotFound: it does not.
        """

    @abstractmethod
    def events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[JobEvent]:
        """
        The events of a job with a ``seq`` greater than *after*, in order.
        """

    # -- workers

    @abstractmethod
    def beat(self, worker: WorkerRecord, *, ttl: float) -> None:
        """
        Say that *worker* lives, and is believed to for *ttl* seconds.
        """

    @abstractmethod
    def remove_worker(self, worker_id: str) -> None:
        """
        Say that a worker has stopped; unknown ids are no error.
        """

    @abstractmethod
    def workers(self) -> Sequence[WorkerRecord]:
        """
        The workers believed to be alive, oldest first.
        """

    # -- processes

    def report_process(self, process: ProcessRecord, *, ttl: float) -> None:
        """
        Record that *process* works for the app, for *ttl* seconds.

        Processes are no workers: `workers` does not list them. A store that keeps
        none does nothing, and `processes` returns none.
        """

    def remove_process(self, process_id: str) -> None:
        """
        Forget a process; an unknown id is not an error.
        """

    def processes(self) -> Sequence[ProcessRecord]:
        """
        Return the processes whose reports are valid, in the order of their ids.
        """
        return ()

    # -- the store itself

    @abstractmethod
    def ping(self) -> None:
        """
        Return if the store answers.

        Raises:
            StoreUnavailable: it does not; the message names it without its password.
        """

    def risks(self) -> Sequence[str]:
        """
        What in the way the store is set up could lose jobs, a sentence each,
        with the remedy.
        """
        return ()

    @abstractmethod
    def close(self) -> None:
        """
        Give back connections. Idempotent; a later use connects anew.
        """


class QueueJobStore(JobStore):
    """
    A job store that is its own queue: it can find and claim the next job in one step.
    """

    @abstractmethod
    def claim_next(
        self, *, backend: str, queues: Sequence[str], worker: str, lease: float
    ) -> JobRecord | None:
        """
        Claim the first startable job of *backend* in *queues*: the highest
        priority first, then the order of submission.

        What `chariots_core.jobs.lifecycle.claim` does to one job, done to the next one.
        """
