"""
A job store around another one: what kits put traps, and tests of kits put faults, into.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chariots_core.jobs import (
    Created,
    Guard,
    IdempotencyKey,
    JobEvent,
    JobQuery,
    JobRecord,
    JobStatus,
    JobStore,
    NewEvent,
    NewJob,
    QueueJobStore,
    WorkerRecord,
)


class StoreProxy(QueueJobStore):
    """
    Does what the store inside does. Subclasses change one thing.

    It can claim the next job only if the store inside can.
    """

    def __init__(self, inside: JobStore) -> None:
        super().__init__(app=inside.app)
        self.inside = inside

    @property
    def shown_address(self) -> str:
        return self.inside.shown_address

    def create(self, job: NewJob, *, idempotency: IdempotencyKey | None = None) -> Created:
        return self.inside.create(job, idempotency=idempotency)

    def get(self, job_id: str) -> JobRecord:
        return self.inside.get(job_id)

    def _compare_and_set(
        self,
        guard: Guard,
        status: JobStatus,
        changes: Mapping[str, Any],
        events: Sequence[NewEvent],
    ) -> JobRecord | None:
        return self.inside._compare_and_set(guard, status, changes, events)  # noqa: SLF001

    def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        return self.inside.list_jobs(query)

    def counts(self) -> Mapping[JobStatus, int]:
        return self.inside.counts()

    def due(self, *, job_id: str | None = None, limit: int = 100) -> Sequence[JobRecord]:
        return self.inside.due(job_id=job_id, limit=limit)

    def expire(self, *, limit: int = 1000) -> int:
        return self.inside.expire(limit=limit)

    def now(self) -> datetime:
        return self.inside.now()

    def append_event(self, job_id: str, event: NewEvent) -> JobEvent:
        return self.inside.append_event(job_id, event)

    def events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[JobEvent]:
        return self.inside.events(job_id, after=after, limit=limit)

    def beat(self, worker: WorkerRecord, *, ttl: float) -> None:
        self.inside.beat(worker, ttl=ttl)

    def remove_worker(self, worker_id: str) -> None:
        self.inside.remove_worker(worker_id)

    def workers(self) -> Sequence[WorkerRecord]:
        return self.inside.workers()

    def ping(self) -> None:
        self.inside.ping()

    def close(self) -> None:
        self.inside.close()

    def claim_next(
        self, *, backend: str, queues: Sequence[str], worker: str, lease: float
    ) -> JobRecord | None:
        assert isinstance(self.inside, QueueJobStore), f"{self.inside!r} is no queue"
        return self.inside.claim_next(backend=backend, queues=queues, worker=worker, lease=lease)
