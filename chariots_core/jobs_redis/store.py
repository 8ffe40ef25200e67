"""
`RedisJobStore`: jobs in Redis, each change one atomic script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar, Final
from urllib.parse import quote

from chariots_core.errors import JobNotFound
from chariots_core.jobs.changes import Guard, NewEvent, When
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
from chariots_core.jobs.store import Created, IdempotencyKey, JobQuery, JobStore, PendingClaim
from chariots_core.jobs_redis import fields
from chariots_core.jobs_redis.exchange import Along
from chariots_core.jobs_redis.server import RedisServer, Script

_asked: Final = attrgetter(*ASKED)

#: What a guard may ask besides the status and the time.
_COUNTERS: Final = ("attempt", "token", "generation", "cancel_requested")

#: Stands for a job's id, which it cannot be.
_ANY_JOB: Final = "{the job}"

#: Jobs that one step looks at, at most: Redis serves nobody else meanwhile.
_STEP: Final = 200


class RedisJobStore(JobStore):
    """
    Keeps the jobs of one app in Redis.

    Every operation is one script, which Redis runs alone: nobody sees half of
    it, and every time comes from the server's clock. All keys of an app begin
    with ``chariots:{app}``, so that they share a slot of a cluster.

    A job costs about two kilobytes, and what its input and result take, until
    its time is over. What Redis loses the app loses: it wants
    ``appendonly yes`` and ``maxmemory-policy noeviction``; `risks` tells.

    Args:
        server: ``redis://host:port/db``, ``rediss://…``, ``unix://…``, or a handle.
        app: the app whose jobs these are.

    Raises:
        ConfigurationError: the address cannot work.
    """

    kind: ClassVar[str] = "redis"

    def __init__(self, server: str | RedisServer, *, app: str) -> None:
        super().__init__(app=app)
        self._server = server if isinstance(server, RedisServer) else RedisServer.at(server)
        self._keys = (f"chariots:{{{quote(app, safe='')}}}",)
        self._script = Script("chariots_core.jobs_redis", "store.lua", CLOCK_OFFSET=self._offset())
        self._claims: dict[tuple[str, float], tuple[bytes, bytes]] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._server.name!r}, app={self.app!r})"

    @property
    def shown_address(self) -> str:
        return self._server.name

    def _offset(self) -> str:
        # What is added to the server's clock, as an expression of the script's.
        return "0"

    def _call(self, operation: str, *arguments: str | float) -> Any:
        return self._server.run(self._script, self._keys, operation, *arguments)

    def _record(self, row: Any) -> JobRecord | None:
        return None if row is None else fields.job_from(row, app=self.app)

    # -- jobs

    def create(
        self,
        job: NewJob,
        *,
        idempotency: IdempotencyKey | None = None,
        commands: Sequence[Sequence[Any]] = (),
    ) -> Created:
        """
        See `JobStore.create`.

        Args:
            job: what to write.
            idempotency: the caller's own name for it.
            commands: commands of Redis, to be run in the same atomic step if the
                job is new: a queue on the same server takes its message.
        """
        names = (idempotency.key, idempotency.digest) if idempotency else ("", "")
        asked = dict(zip(ASKED, _asked(job), strict=True)) | dict(first_fields(job))
        given = {name: value for name, value in asked.items() if value is not None}
        what, *texts = fields.written(given)
        more = [part for command in commands for part in (len(command), *command)]
        is_new, row, *twin = self._call(
            "create",
            *(job.id, *names, what),
            len(texts) // 2,
            *texts,
            len(commands),
            *more,
        )
        record = fields.job_from(row, app=self.app)
        if is_new:
            return Created(record=record)
        key, digest = (None if text is None else text.decode() for text in twin)
        return replayed(record, job, idempotency, key=key, digest=digest)

    def get(self, job_id: str) -> JobRecord:
        record = self._record(self._call("get", check_job_id(job_id)))
        if record is None:
            raise _unknown(job_id)
        return record

    def _compare_and_set(
        self,
        guard: Guard,
        status: JobStatus,
        changes: Mapping[str, Any],
        events: Sequence[NewEvent],
    ) -> JobRecord | None:
        if not is_job_id(guard.job_id):
            return None
        row = self._call(
            "change",
            guard.job_id,
            *fields.written(
                changes,
                **{"from": guard.status.value, "status": status.value},
                own=_own(guard),
                events=[fields.event_of(event) for event in events],
                **({} if guard.when is None else {"when": guard.when.value}),
            ),
        )
        return self._record(row)

    def claim_along(self, job_id: str, *, worker: str, lease: float) -> ClaimAlong | None:
        if not is_job_id(job_id):
            return None
        name = job_id.encode()
        head, tail = self._claiming(worker, lease)
        return self._along(b"%b$%d\r\n%b\r\n%b" % (head, len(name), name, tail))

    def _claiming(self, worker: str, lease: float) -> tuple[bytes, bytes]:
        """
        What is sent before and after the id of a job to claim: the same for each of them.
        """
        found = self._claims.get((worker, lease))
        if found is None:
            packed = self._packed("change", _ANY_JOB, _claim(worker, lease))
            head, _, tail = packed.partition(f"${len(_ANY_JOB)}\r\n{_ANY_JOB}\r\n".encode())
            found = self._claims[worker, lease] = head, tail
        return found

    def taking(self, queues: Mapping[str, Sequence[str]], *, worker: str, lease: float) -> bytes:
        """
        What `take_along` sends.

        Args:
            queues: lists on the same server, the first one first; for each the
                command that removes what else there is of a message, whose name
                is put at the end of its last word.
            worker: see `chariots_core.jobs.lifecycle.claim`.
            lease: likewise.
        """
        kept = [part for key, words in queues.items() for part in (key, len(words), *words)]
        return self._packed("take", _claim(worker, lease), len(queues), *kept)

    def take_along(self, taking: bytes) -> ClaimAlong:
        """
        Take a message out of a list, and claim its job in the same step, together
        with the next change that this thread makes.

        Args:
            taking: what `taking` returned.
        """
        return self._along(taking)

    def _packed(self, *arguments: object) -> bytes:
        script = self._script.digest
        return self._server.pack("EVALSHA", script, len(self._keys), *self._keys, *arguments)

    def _along(self, packed: bytes) -> ClaimAlong:
        return ClaimAlong(self._server, self._server.send_along(packed), app=self.app)

    def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        if not all(map(is_storable, filter(None, (query.pipeline, query.backend)))):
            return []
        found: list[JobRecord] = []
        before: Any = "" if query.before_seq is None else query.before_seq
        while len(found) < query.limit:
            rows, before = self._call(
                "list",
                *(query.limit - len(found), _STEP),
                "" if query.status is None else query.status.value,
                *(query.pipeline or "", query.backend or ""),
                "" if query.since is None else fields.stamp(query.since),
                before,
            )
            found += (fields.job_from(row, app=self.app) for row in rows)
            if before is None:
                break
        return found

    def counts(self) -> Mapping[JobStatus, int]:
        statuses = (JobStatus.queued, JobStatus.running, JobStatus.deferred)
        return dict(zip(statuses, self._call("counts"), strict=True))

    # -- what time has made due

    def due(self, *, job_id: str | None = None, limit: int = 100) -> Sequence[JobRecord]:
        if job_id is None:
            rows = self._call("due", limit)
        elif is_job_id(job_id):
            rows = self._call("due", limit, job_id)
        else:
            rows = []
        return [fields.job_from(row, app=self.app) for row in rows]

    def expire(self, *, limit: int = 1000) -> int:
        forgotten = 0
        while forgotten < limit:
            step = min(_STEP, limit - forgotten)
            done: int = self._call("expire", step)
            forgotten += done
            if done < step:
                break
        return forgotten

    def now(self) -> datetime:
        return fields.time_from(self._call("now"))

    # -- events

    def append_event(self, job_id: str, event: NewEvent) -> JobEvent:
        entry = self._call("append", check_job_id(job_id), *fields.event_of(event))
        if entry is None:
            raise _unknown(job_id)
        return fields.event_from(entry, job_id=job_id)

    def events(self, job_id: str, *, after: int = 0, limit: int = 1000) -> Sequence[JobEvent]:
        if not is_job_id(job_id):
            return []
        entries = self._call("events", job_id, after, limit)
        return [fields.event_from(entry, job_id=job_id) for entry in entries]

    # -- workers

    def beat(self, worker: WorkerRecord, *, ttl: float) -> None:
        self._call("beat", worker.id, fields.microseconds(ttl), *fields.worker_fields(worker))

    def remove_worker(self, worker_id: str) -> None:
        if is_storable(worker_id):
            self._call("leave", worker_id)

    def workers(self) -> Sequence[WorkerRecord]:
        alive = [fields.worker_from(row) for row in self._call("workers")]
        return sorted(alive, key=attrgetter("started_at", "id"))

    # -- processes

    def report_process(self, process: ProcessRecord, *, ttl: float) -> None:
        self._call("report", process.id, fields.microseconds(ttl), process.to_json())

    def remove_process(self, process_id: str) -> None:
        if is_storable(process_id):
            self._call("withdraw", process_id)

    def processes(self) -> Sequence[ProcessRecord]:
        found = [ProcessRecord.from_json(text.decode()) for text in self._call("processes")]
        return sorted(found, key=attrgetter("id"))

    # -- the store itself

    def ping(self) -> None:
        self._server.ping()

    def is_on(self, server: RedisServer) -> bool:
        """
        Whether the jobs are kept by *server*.
        """
        return self._server is server

    def risks(self) -> Sequence[str]:
        return self._server.risks()

    def close(self) -> None:
        self._server.close()


class ClaimAlong(PendingClaim):
    """
    A claim that goes to the server with the next command.
    """

    def __init__(self, server: RedisServer, along: Along, *, app: str) -> None:
        self._app = app
        self._server = server
        self._along = along

    def settle(self) -> JobRecord | None:
        answer = self._server.answer_to(self._along)
        # An error: the server does not know the script, which the claims that follow
        # make known, or it cannot work. Whatever it is, nothing was claimed.
        if answer is None or isinstance(answer, Exception):
            return None
        return fields.job_from(answer, app=self._app)


def _claim(worker: str, lease: float) -> str:
    """
    What a claim writes: see `chariots_core.jobs.lifecycle.claim`. None of it is long.
    """
    (what,) = fields.written(
        claim_changes(worker=worker, lease=lease),
        **{"from": JobStatus.queued.value, "status": JobStatus.running.value},
        when=When.startable.value,
        events=[fields.event_of(NewEvent(kind="state"))],
    )
    return what


def _own(guard: Guard) -> dict[str, str]:
    asked = ((name, getattr(guard, name)) for name in _COUNTERS)
    return {name: str(int(value)) for name, value in asked if value is not None}


def _unknown(job_id: str) -> JobNotFound:
    return JobNotFound(f"no job {job_id!r} in this app's store", job_id=job_id)
