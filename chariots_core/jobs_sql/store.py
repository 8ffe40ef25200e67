"""
`SqlJobStore`: jobs in SQLite or PostgreSQL, which are their own queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, ClassVar, Final

from chariots_core.errors import JobNotFound
from chariots_core.jobs.changes import FromNow, Guard, NewEvent
from chariots_core.jobs.creation import ASKED, first_fields, replayed
from chariots_core.jobs.lifecycle import claim_changes
from chariots_core.jobs.processes import ProcessRecord
from chariots_core.jobs.record import (
    JobEvent,
    JobRecord,
    NewJob,
    WorkerRecord,
    check_job_id,
    is_job_id,
    is_storable,
)
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs.store import Created, IdempotencyKey, JobQuery, QueueJobStore
from chariots_core.jobs.waking import wake_at
from chariots_core.jobs_sql import rows
from chariots_core.jobs_sql.processes import Processes
from chariots_core.jobs_sql.schema import SCHEMA
from chariots_core.jobs_sql.statements import Change, Statements
from chariots_core.jobs_sql.transactions import Row, Transactions
from chariots_core.sql import CLOCKS, Database

_asked: Final = attrgetter(*ASKED)
_CREATED: Final = (NewEvent(kind="state"),)


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
        self._statements = Statements(self._database.dialect, self._clock())
        self._transactions = Transactions(self._database, self._statements, app=app)
        self._processes = Processes(url, clock=self._clock(), ready=self._statements.ready, app=app)
        self._was_idle = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database.name!r}, app={self.app!r})"

    @property
    def shown_address(self) -> str:
        return self._database.name

    def _clock(self) -> str:
        return CLOCKS[self._database.dialect]

    # -- jobs

    def create(self, job: NewJob, *, idempotency: IdempotencyKey | None = None) -> Created:
        change = Change(self._statements.create, _new_row(self.app, job, idempotency))
        while True:
            # A caller sees the key of another that is still being written only
            # after that one has committed, so the second look finds it.
            written = self._transactions.write(change, _CREATED)
            if written is not None:
                return Created(record=rows.job_from(written))
            twin = self._twin(change.parameters)
            if twin is not None:
                key, digest = twin[0], twin[1]
                record = rows.job_from(twin[2:])
                return replayed(record, job, idempotency, key=key, digest=digest)

    def _twin(self, names: Mapping[str, Any]) -> Row | None:
        """
        The job that has the id or the key of a new one, after those that are in
        nobody's way were put aside.
        """
        statements = self._statements
        with self._transactions.several() as cursor:
            replaced = cursor.execute(statements.free_id, names).fetchall()
            for _ in replaced:
                cursor.execute(statements.forget_events, names)
            cursor.execute(statements.free_key, names)
            twin: Row | None = cursor.execute(statements.twin, names).fetchone()
        return twin

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
        change = self._statements.change(self.app, guard, status.value, changes)
        return _record(self._transactions.write(change, events))

    def claim_next(
        self, *, backend: str, queues: Sequence[str], worker: str, lease: float
    ) -> JobRecord | None:
        names = tuple(filter(is_storable, queues)) if is_storable(backend) else ()
        if not names or (self._was_idle and not self._any_startable(backend, names)):
            return None
        change = self._statements.claim_next(
            self.app, backend, names, claim_changes(worker=worker, lease=lease)
        )
        record = _record(self._transactions.write(change, (NewEvent(kind="state"),)))
        self._was_idle = record is None
        return record

    def _any_startable(self, backend: str, queues: tuple[str, ...]) -> bool:
        # An idle worker reads, and takes no lock that a busy one may want.
        text, parameters = self._statements.any_startable(self.app, backend, queues)
        return bool(self._transactions.read(text, parameters))

    def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        if not all(map(is_storable, filter(None, (query.pipeline, query.backend)))):
            return []
        found = self._transactions.read(*self._statements.listing(self.app, query))
        return [rows.job_from(row) for row in found]

    def counts(self) -> Mapping[JobStatus, int]:
        counted = self._transactions.read(self._statements.counts, {"app": self.app})
        found = {row[0]: row[1] for row in counted}
        return {status: found.get(status.value, 0) for status in JobStatus if not status.is_final}

    # -- what time has made due

    def due(self, *, job_id: str | None = None, limit: int = 100) -> Sequence[JobRecord]:
        if job_id is None:
            urgent = self._transactions.read(
                self._statements.due, {"app": self.app, "limit": limit}
            )
            # The rows come from two lists, each in its own order.
            records = sorted(map(rows.job_from, urgent), key=_waits_since)[:limit]
            found: list[Row] = []
            if (left := limit - len(records)) > 0:
                found = self._transactions.read(
                    self._statements.due_queued, {"app": self.app, "limit": left}
                )
        elif is_job_id(job_id):
            records = []
            found = self._transactions.read(
                self._statements.due_one, {"app": self.app, "id": job_id}
            )
        else:
            return []
        return [*records, *map(rows.job_from, found)]

    def expire(self, *, limit: int = 1000) -> int:
        statements, app = self._statements, self.app
        if not self._transactions.read(statements.any_expired, {"app": app}):
            return 0
        with self._transactions.several() as cursor:
            cursor.execute(statements.expired, {"app": app, "limit": limit})
            found = cursor.fetchall()
            cursor.executemany(statements.forget, [{"seq": seq} for seq, _ in found])
            cursor.executemany(
                statements.forget_events, [{"app": app, "id": job_id} for _, job_id in found]
            )
            cursor.execute(statements.forget_workers, {"app": app})
        return len(found)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._transactions.read(self._statements.now, {})[0][0], UTC)

    # -- events

    def append_event(self, job_id: str, event: NewEvent) -> JobEvent:
        check_job_id(job_id)
        parameters = {
            "app": self.app,
            "id": job_id,
            "kind": event.kind,
            "data": rows.to_column(event.data),
        }
        if event.keep is None:
            found = self._transactions.read(self._statements.append_event, parameters)
        else:
            with self._transactions.several() as cursor:
                self._transactions.make_room(cursor, job_id, event)
                cursor.execute(self._statements.append_event, parameters)
                found = cursor.fetchall()
        if not found:
            raise _unknown(job_id)
        return rows.event_from(found[0])

    def events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[JobEvent]:
        if not is_job_id(job_id):
            return []
        parameters = {"app": self.app, "id": job_id, "after": after, "limit": limit}
        return [
            rows.event_from(row)
            for row in self._transactions.read(self._statements.events, parameters)
        ]

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
        if not is_storable(worker_id):
            return
        with self._database.cursor() as cursor:
            cursor.execute(self._statements.remove_worker, {"app": self.app, "id": worker_id})

    def workers(self) -> Sequence[WorkerRecord]:
        found = self._transactions.read(self._statements.workers, {"app": self.app})
        return [rows.worker_from(row) for row in found]

    # -- processes

    def report_process(self, process: ProcessRecord, *, ttl: float) -> None:
        self._processes.report(process, ttl=ttl)

    def remove_process(self, process_id: str) -> None:
        if is_storable(process_id):
            self._processes.remove(process_id)

    def processes(self) -> Sequence[ProcessRecord]:
        return self._processes.alive()

    # -- the store itself

    def ping(self) -> None:
        self._database.ping()

    def close(self) -> None:
        self._database.close()
        self._processes.close()


def _new_row(app: str, job: NewJob, idempotency: IdempotencyKey | None) -> dict[str, Any]:
    """
    The parameters of a creation; a time is given as seconds from now.
    """
    row: dict[str, Any] = dict(zip(ASKED, _asked(job), strict=True))
    for name, value in first_fields(job).items():
        row[name] = value.seconds if type(value) is FromNow else value
    row["app"] = app
    row["status"] = row["status"].value
    row["key"] = idempotency.key if idempotency else None
    row["digest"] = idempotency.digest if idempotency else None
    return row


def _waits_since(record: JobRecord) -> datetime:
    return wake_at(record) or record.created_at


def _record(row: Row | None) -> JobRecord | None:
    return None if row is None else rows.job_from(row)


def _unknown(job_id: str) -> JobNotFound:
    return JobNotFound(f"no job {job_id!r} in this app's store", job_id=job_id)
