"""
`SqlJobStore`: jobs in SQLite or PostgreSQL, which are their own queue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar

from chariots_core.errors import IdempotencyMismatch, JobNotFound
from chariots_core.jobs.lifecycle import claim_changes
from chariots_core.jobs.record import (
    JobEvent,
    JobRecord,
    NewJob,
    WorkerRecord,
    check_job_id,
    is_job_id,
)
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import (
    Created,
    Guard,
    IdempotencyKey,
    JobQuery,
    NewEvent,
    QueueJobStore,
)
from chariots_core.jobs_sql import rows
from chariots_core.jobs_sql.schema import SCHEMA
from chariots_core.jobs_sql.statements import Change, Statements
from chariots_core.sql import CLOCKS, Database


class SqlJobStore(QueueJobStore):
    """
    Keeps the jobs of one app in a database, and finds the next one to start.

    SQLite (in WAL mode) serves the processes of one machine, PostgreSQL those
    of many. Every operation is one short transaction, every time comes from
    the database's clock.

    Args:
        url: see `chariots_core.sql.Database`.
        app: the app whose jobs these are.

    Raises:
        ConfigurationError: the address cannot work.
    """

    kind: ClassVar[str] = "sql"

    def __init__(self, url: str, *, app: str) -> None:
        super().__init__(app=app)
        self._database = Database(url, kind="job store", schema=SCHEMA)
        self._sqlite = self._database.dialect == "sqlite"
        self._statements = Statements(self._database.dialect, self._clock())
        self._was_idle = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database.name!r}, app={self.app!r})"

    def _clock(self) -> str:
        return CLOCKS[self._database.dialect]

    # -- jobs

    def create(self, job: NewJob, *, idempotency: IdempotencyKey | None = None) -> Created:
        parameters = _new_row(self.app, job, idempotency)
        statements = self._statements
        while True:
            # A caller sees the key of another that is still being written only
            # after that one has committed, so the second look finds it.
            written = self._write(Change(statements.create, parameters), (NewEvent(kind="state"),))
            if written is not None:
                return Created(record=written)
            with self._database.cursor() as cursor:
                cursor.execute(statements.forget_twin, parameters)
                twin = cursor.execute(statements.twin, parameters).fetchone()
            if twin is not None:
                return _replayed(twin, job, idempotency)

    def get(self, job_id: str) -> JobRecord:
        check_job_id(job_id)
        with self._database.cursor() as cursor:
            cursor.execute(self._statements.get, {"app": self.app, "id": job_id})
            row = cursor.fetchone()
        if row is None:
            raise _unknown(job_id)
        return rows.job_from(row)

    def _compare_and_set(
        self,
        guard: Guard,
        status: JobStatus,
        changes: Mapping[str, Any],
        events: Sequence[NewEvent],
    ) -> JobRecord | None:
        if not is_job_id(guard.job_id):
            return None
        return self._write(
            self._statements.change(self.app, guard, status.value, changes), tuple(events)
        )

    def claim_next(
        self, *, backend: str, queues: Sequence[str], worker: str, lease: float
    ) -> JobRecord | None:
        names = tuple(queues)
        if not names or (self._was_idle and not self._any_startable(backend, names)):
            return None
        change = self._statements.claim_next(
            self.app, backend, names, claim_changes(worker=worker, lease=lease)
        )
        record = self._write(change, (NewEvent(kind="state"),))
        self._was_idle = record is None
        return record

    def _any_startable(self, backend: str, queues: tuple[str, ...]) -> bool:
        # An idle worker reads, and takes no lock that a busy one may want.
        text, parameters = self._statements.any_startable(self.app, backend, queues)
        return bool(self._read(text, parameters))

    def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        return [
            rows.job_from(row) for row in self._read(*self._statements.listing(self.app, query))
        ]

    def counts(self) -> Mapping[JobStatus, int]:
        found = dict(self._read(self._statements.counts, {"app": self.app}))
        return {status: found.get(status.value, 0) for status in JobStatus if not status.is_final}

    # -- what time has made due

    def due(self, *, job_id: str | None = None, limit: int = 100) -> Sequence[JobRecord]:
        if job_id is None:
            found = self._read(self._statements.due, {"app": self.app, "limit": limit})
        elif is_job_id(job_id):
            found = self._read(self._statements.due_one, {"app": self.app, "id": job_id})
        else:
            found = []
        return [rows.job_from(row) for row in found]

    def expire(self, *, limit: int = 1000) -> int:
        statements, app = self._statements, self.app
        if not self._read(statements.any_expired, {"app": app}):
            return 0
        with self._writing() as cursor:
            cursor.execute(statements.expired, {"app": app, "limit": limit})
            found = cursor.fetchall()
            cursor.executemany(statements.forget, [{"seq": seq} for seq, _ in found])
            cursor.executemany(
                statements.forget_events, [{"app": app, "id": job_id} for _, job_id in found]
            )
            cursor.execute(statements.forget_workers, {"app": app})
        return len(found)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._read(self._statements.now, {})[0][0], UTC)

    # -- events

    def append_event(self, job_id: str, event: NewEvent) -> JobEvent:
        check_job_id(job_id)
        parameters = {
            "app": self.app,
            "id": job_id,
            "kind": event.kind,
            "data": rows.to_column(event.data),
        }
        with self._database.cursor() as cursor:
            cursor.execute(self._statements.append_event, parameters)
            found = cursor.fetchall()
        if not found:
            raise _unknown(job_id)
        return rows.event_from(found[0])

    def events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[JobEvent]:
        if not is_job_id(job_id):
            return []
        parameters = {"app": self.app, "id": job_id, "after": after, "limit": limit}
        return [rows.event_from(row) for row in self._read(self._statements.events, parameters)]

    # -- workers

    def beat(self, worker: WorkerRecord, *, ttl: float) -> None:
        parameters = {
            "app": self.app,
            "id": worker.id,
            "backend": worker.backend,
            "queues": rows.to_column(worker.queues),
            "host": worker.host,
            "pid": worker.pid,
            "state": worker.state,
            "job_id": worker.job_id,
            "ttl": ttl,
        }
        with self._database.cursor() as cursor:
            cursor.execute(self._statements.beat, parameters)

    def remove_worker(self, worker_id: str) -> None:
        with self._database.cursor() as cursor:
            cursor.execute(self._statements.remove_worker, {"app": self.app, "id": worker_id})

    def workers(self) -> Sequence[WorkerRecord]:
        found = self._read(self._statements.workers, {"app": self.app})
        return [rows.worker_from(row) for row in found]

    # -- the store itself

    def ping(self) -> None:
        self._database.ping()

    def close(self) -> None:
        self._database.close()

    # -- transactions

    def _read(self, text: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with self._database.cursor() as cursor:
            cursor.execute(text, parameters)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        """
        A transaction of several statements.
        """
        with self._database.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE" if self._sqlite else "BEGIN")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def _write(self, change: Change, events: tuple[NewEvent, ...]) -> JobRecord | None:
        """
        Make a change of one job and write its events, in one transaction.
        """
        row = self._write_sqlite(change, events) if self._sqlite else self._write_pg(change, events)
        return None if row is None else rows.job_from(row)

    def _write_pg(self, change: Change, events: tuple[NewEvent, ...]) -> Sequence[Any] | None:
        text, parameters = change.text, change.parameters
        if events:
            text = self._statements.with_events(text, len(events))
            for n, event in enumerate(events):
                parameters = parameters | {
                    f"kind_{n}": event.kind,
                    f"data_{n}": rows.to_column(event.data),
                }
        with self._database.cursor() as cursor:
            row: Sequence[Any] | None = cursor.execute(text, parameters).fetchone()
            return row

    def _write_sqlite(self, change: Change, events: tuple[NewEvent, ...]) -> Sequence[Any] | None:
        with self._database.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            found = cursor.execute(change.text, change.parameters).fetchall()
            if not found:
                cursor.execute("ROLLBACK")
                return None
            row: Sequence[Any] = found[0]
            for event in events:
                cursor.execute(self._statements.event, self._event_row(row, event))
            cursor.execute("COMMIT")
            return row

    def _event_row(self, row: Sequence[Any], event: NewEvent) -> dict[str, Any]:
        return {
            "app": self.app,
            "job_id": row[0],
            "kind": event.kind,
            "status": row[6],
            "reason": row[7],
            "attempt": row[8],
            "data": rows.to_column(event.data),
        }


def _new_row(app: str, job: NewJob, idempotency: IdempotencyKey | None) -> dict[str, Any]:
    waits = job.delay > 0
    return {
        "app": app,
        "id": job.id,
        "pipeline": job.pipeline,
        "backend": job.backend,
        "queue": job.queue,
        "status": "deferred" if waits else "queued",
        "reason": Reason.SCHEDULED if waits else None,
        "priority": job.priority,
        "max_attempts": job.max_attempts,
        "generation": 0 if waits else 1,
        "timeout": job.timeout,
        "retry_delay": float(job.retry_delay),
        "queue_timeout": job.queue_timeout,
        "resend_after": job.resend_after,
        "result_ttl": float(job.result_ttl),
        "queued_in": None if waits else 0.0,
        "due_in": job.delay if waits else None,
        "resend_in": None if waits else job.resend_after,
        "queue_expires_in": None if job.queue_timeout is None else job.delay + job.queue_timeout,
        "key": idempotency.key if idempotency else None,
        "digest": idempotency.digest if idempotency else None,
        "input_ref": job.input_ref,
        "input_json": job.input_json,
    }


def _replayed(twin: Sequence[Any], job: NewJob, idempotency: IdempotencyKey | None) -> Created:
    key, digest = twin[0], twin[1]
    record = rows.job_from(twin[2:])
    if idempotency is not None and key == idempotency.key:
        same, named = digest == idempotency.digest, f"idempotency key {key!r}"
    else:
        same, named = _is_same_request(record, job), f"job id {job.id!r}"
    if same:
        return Created(record=record, replayed=True)
    raise IdempotencyMismatch(
        f"the {named} was used for another request: use a new one for a new request",
        job_id=record.id,
    )


def _is_same_request(record: JobRecord, job: NewJob) -> bool:
    return all(
        getattr(record, name) == getattr(job, name)
        for name in (
            "id",
            "pipeline",
            "backend",
            "queue",
            "input_json",
            "input_ref",
            "priority",
            "max_attempts",
            "retry_delay",
            "timeout",
            "queue_timeout",
            "result_ttl",
        )
    )


def _unknown(job_id: str) -> JobNotFound:
    return JobNotFound(f"no job {job_id!r} in this app's store", job_id=job_id)
