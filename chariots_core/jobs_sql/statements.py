"""
The texts of the statements: each is made once for its shape and then kept, so
that drivers and servers can keep its plan too.

Only names of this module's own and the clock go into a text; every value is a
parameter, written ``:name`` and rewritten where a driver wants it otherwise.
"""

# ruff: noqa: S608

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from chariots_core.jobs.changes import FromNow, Guard, Plus, When
from chariots_core.jobs.creation import ASKED
from chariots_core.jobs.status import Reason
from chariots_core.jobs.store import JobQuery
from chariots_core.jobs_sql.rows import EVENT_COLUMNS, JOB_COLUMNS, WORKER_COLUMNS, to_column

_ALL: Final = ", ".join(JOB_COLUMNS)
_WITHOUT_PAYLOADS: Final = ", ".join(
    f"NULL AS {name}" if name in ("input_json", "value_json") else name for name in JOB_COLUMNS
)
_LISTED: Final = _WITHOUT_PAYLOADS.replace("manifest_json", "NULL AS manifest_json")
_EVENT: Final = ", ".join(EVENT_COLUMNS)
_KNOWN: Final = (
    "(expires_at IS NULL OR expires_at > {now}"
    " OR (status = 'done' AND manifest_json IS NOT NULL AND published_at IS NULL))"
)
#: A job that stands in no other's way; see `JobStore.create`.
_GONE: Final = f"(NOT {_KNOWN} OR (status = 'failed' AND reason = 'not_submitted' AND token = 0))"
_WHEN: Final = {
    When.startable: "(queue_expires_at IS NULL OR queue_expires_at > {now})",
    When.lease_expired: "lease_until <= {now}",
    When.due: "due_at <= {now}",
    When.resend_due: "resend_at <= {now}",
    When.queue_expired: "queue_expires_at <= {now}",
    When.unpublished: "manifest_json IS NOT NULL AND published_at IS NULL",
}

#: The column `wake_at` does not know this condition: databases of older releases have
#: the column, too. The jobs that run are few, and the index by status finds them.
_PUBLISHING_DUE: Final = (
    f"status = 'running' AND reason = '{Reason.PUBLISHING}' AND resend_at <= {{now}}"
)

Parameters = dict[str, Any]


@attrs.frozen
class Change:
    """
    An ``UPDATE`` of at most one job that returns it.
    """

    text: str
    parameters: Parameters


class Statements:
    """
    The statements for one kind of database.

    Args:
        dialect: ``"sqlite"`` or ``"postgresql"``.
        clock: its clock, as an expression.
    """

    def __init__(self, dialect: str, clock: str) -> None:
        self._postgresql = dialect == "postgresql"
        self._clock = clock
        # PostgreSQL looks a moving clock up in an index only if it stands still.
        moment = f"(SELECT {clock})" if self._postgresql else clock
        self._changes: dict[object, str] = {}
        self._claims: dict[int, str] = {}
        self._heads: dict[int, str] = {}
        self._events: dict[tuple[str, tuple[bool, ...]], str] = {}
        known = _KNOWN.format(now=clock)
        mine = "FROM chariots_jobs WHERE app = :app"
        self.now = self.ready(f"SELECT {clock}")
        self.get = self.ready(f"SELECT {_ALL} {mine} AND id = :id AND {known}")
        self.twin = self.ready(
            f"SELECT idempotency_key, idempotency_digest, {_ALL} {mine}"
            " AND (id = :id OR idempotency_key = :key)"
            " ORDER BY coalesce(idempotency_key = :key, FALSE) DESC"
        )
        gone = _GONE.format(now=clock)
        self.free_key = self.ready(
            "UPDATE chariots_jobs SET idempotency_key = NULL, idempotency_digest = NULL"
            f" WHERE app = :app AND idempotency_key = :key AND {gone}"
        )
        self.free_id = self.ready(f"DELETE {mine} AND id = :id AND {gone} RETURNING id")
        self.create = self.ready(_creation(clock))
        self.counts = self.ready(
            f"SELECT status, count(*) {mine}"
            " AND status IN ('queued', 'running', 'deferred') GROUP BY status"
        )
        due = f"SELECT {_WITHOUT_PAYLOADS} {mine} AND wake_at <= {moment}"
        publishing = _PUBLISHING_DUE.format(now=moment)
        self.due = self.ready(
            f"SELECT * FROM ({due} AND status <> 'queued' ORDER BY wake_at LIMIT :limit) AS others"
            f" UNION ALL SELECT * FROM (SELECT {_WITHOUT_PAYLOADS} {mine} AND {publishing}"
            " ORDER BY seq LIMIT :limit) AS publishing"
        )
        self.due_queued = self.ready(f"{due} AND status = 'queued' ORDER BY wake_at LIMIT :limit")
        self.due_one = self.ready(
            f"SELECT {_WITHOUT_PAYLOADS} {mine} AND id = :id"
            f" AND (wake_at <= {moment} OR {publishing})"
        )
        dead = f"FROM chariots_job_workers WHERE app = :app AND alive_until <= {clock} - 3600.0"
        # In order, so that PostgreSQL takes the index: it cannot guess how few there are.
        self.any_expired = self.ready(
            f"SELECT * FROM (SELECT 1 {mine} AND expires_at <= {moment} AND NOT {known}"
            f" ORDER BY expires_at LIMIT 1) AS jobs"
            f" UNION ALL SELECT * FROM (SELECT 1 {dead} LIMIT 1) AS workers"
        )
        self.expired = self.ready(
            f"SELECT seq, id {mine} AND expires_at <= {moment} AND NOT {known}"
            f" ORDER BY expires_at LIMIT :limit{' FOR UPDATE SKIP LOCKED' * self._postgresql}"
        )
        self.forget = self.ready("DELETE FROM chariots_jobs WHERE seq = :seq")
        self.forget_events = self.ready(
            "DELETE FROM chariots_job_events WHERE app = :app AND job_id = :id"
        )
        self.forget_workers = self.ready(f"DELETE {dead}")
        self.append_event = self.ready(
            "INSERT INTO chariots_job_events (app, job_id, at, kind, status, reason, attempt, data)"
            f" SELECT app, id, {clock}, :kind, status, reason, attempt, :data {mine} AND id = :id"
            f" RETURNING {_EVENT}"
        )
        self.event = self.ready(
            "INSERT INTO chariots_job_events (app, job_id, at, kind, status, reason, attempt, data)"
            f" VALUES (:app, :job_id, {clock}, :kind, :status, :reason, :attempt, :data)"
        )
        # Before one more is written, so that one less may stay.
        self.make_room = self.ready(
            "DELETE FROM chariots_job_events WHERE app = :app AND job_id = :job_id"
            f" AND kind = :kind AND seq <= ({_superfluous('job_id', 'kind', 'beyond')})"
        )
        self.events = self.ready(
            f"SELECT {_EVENT} FROM chariots_job_events WHERE app = :app AND job_id = :id"
            " AND seq > :after ORDER BY seq LIMIT :limit"
        )
        self.beat = self.ready(_heart_beat(clock))
        self.remove_worker = self.ready(
            "DELETE FROM chariots_job_workers WHERE app = :app AND id = :id"
        )
        self.workers = self.ready(
            f"SELECT {', '.join(WORKER_COLUMNS)} FROM chariots_job_workers"
            f" WHERE app = :app AND alive_until > {clock} ORDER BY started_at, id"
        )

    def ready(self, text: str) -> str:
        """
        *text* as the driver wants it.
        """
        return re.sub(r"(?<!:):(\w+)", r"%(\1)s", text) if self._postgresql else text

    # -- changes

    def change(self, app: str, guard: Guard, status: str, changes: Mapping[str, Any]) -> Change:
        """
        The change of one job under a guard.
        """
        where = [
            (name, value)
            for name in ("attempt", "token", "generation", "cancel_requested")
            if (value := getattr(guard, name)) is not None
        ]
        parameters = {
            "app": app,
            "g_id": guard.job_id,
            "g_status": guard.status.value,
            **{f"g_{name}": value for name, value in where},
        }
        named = (*(name for name, _ in where), guard.when)
        shape = (named, *((name, type(value)) for name, value in changes.items()))
        text = self._changes.get(shape)
        if text is None:
            conditions = ["app = :app", "id = :g_id", "status = :g_status"]
            conditions += [f"{name} = :g_{name}" for name, _ in where]
            if guard.when is not None:
                conditions.append(_WHEN[guard.when].format(now=self._clock))
            text = self._update(changes, " AND ".join(conditions))
            self._changes[shape] = text
        return Change(text, parameters | _parameters(status, changes))

    def claim_next(
        self, app: str, backend: str, queues: tuple[str, ...], changes: Mapping[str, Any]
    ) -> Change:
        """
        The change of the first startable job of some queues, if there is one.
        """
        text = self._claims.get(len(queues))
        if text is None:
            text = self._update(changes, f"seq = ({self._first(len(queues))})")
            self._claims[len(queues)] = text
        return Change(text, _where_from(app, backend, queues) | _parameters("running", changes))

    def any_startable(
        self, app: str, backend: str, queues: tuple[str, ...]
    ) -> tuple[str, Parameters]:
        """
        The same question, asked without a lock.
        """
        text = self._heads.get(len(queues))
        if text is None:
            text = self.ready(self._first(len(queues)).replace(" FOR UPDATE SKIP LOCKED", ""))
            self._heads[len(queues)] = text
        return text, _where_from(app, backend, queues)

    def _update(self, changes: Mapping[str, Any], where: str) -> str:
        settings = ["status = :status"]
        settings += [f"{name} = {self._expression(name, changes[name])}" for name in changes]
        return self.ready(
            f"UPDATE chariots_jobs SET {', '.join(settings)} WHERE {where} RETURNING {_ALL}"
        )

    def _expression(self, name: str, value: Any) -> str:
        if isinstance(value, FromNow):
            return f"{self._clock} + :{name}"
        if isinstance(value, Plus):
            return f"{name} + :{name}"
        return f":{name}"

    def _first(self, n_queues: int) -> str:
        lock = " FOR UPDATE SKIP LOCKED" if self._postgresql else ""
        startable = _WHEN[When.startable].format(now=self._clock)
        heads = [
            "SELECT seq, priority FROM chariots_jobs WHERE app = :app AND backend = :backend"
            f" AND queue = :queue_{n} AND status = 'queued' AND {startable}"
            f" ORDER BY priority DESC, seq LIMIT 1{lock}"
            for n in range(n_queues)
        ]
        if n_queues == 1:
            return heads[0].replace("seq, priority", "seq", 1)
        parts = " UNION ALL ".join(
            f"SELECT * FROM ({head}) AS head_{n}" for n, head in enumerate(heads)
        )
        return f"SELECT seq FROM ({parts}) AS heads ORDER BY priority DESC, seq LIMIT 1"

    # -- one statement for a change and its events

    def with_events(self, text: str, bounded: tuple[bool, ...]) -> str:
        """
        A change under a guard that also writes its events, for PostgreSQL: one
        round trip. *bounded* says of each event whether older ones make room for it.
        """
        key = (text, bounded)
        made = self._events.get(key)
        if made is None:
            values = ", ".join(f"({n}, :kind_{n}, :data_{n})" for n in range(len(bounded)))
            written = (
                "INSERT INTO chariots_job_events"
                " (app, job_id, at, kind, status, reason, attempt, data)"
                f" SELECT c.app, c.id, {self._clock}, e.kind, c.status, c.reason, c.attempt, e.data"
                f" FROM changed AS c CROSS JOIN (VALUES {values}) AS e (n, kind, data)"
                " ORDER BY e.n"
            )
            parts = [f"told AS ({written})"]
            parts += [f"less_{n} AS ({_room(n)})" for n, is_bound in enumerate(bounded) if is_bound]
            rest = self.ready(", ".join(parts))
            made = f"WITH changed AS ({text}), {rest} SELECT {_ALL} FROM changed"
            self._events[key] = made
        return made

    # -- lists

    def listing(self, app: str, query: JobQuery) -> tuple[str, Parameters]:
        """
        The statement that answers *query*.
        """
        known = _KNOWN.format(now=self._clock)
        parameters: Parameters = {"app": app, "limit": query.limit}
        conditions = ["app = :app", known]
        for name in ("status", "pipeline", "backend"):
            if (value := getattr(query, name)) is not None:
                conditions.append(f"{name} = :{name}")
                parameters[name] = value.value if name == "status" else value
        if query.since is not None:
            conditions.append("created_at >= :since")
            # A time that was read from here has been rounded to the microsecond.
            parameters["since"] = query.since.timestamp() - 1e-6
        if query.before_seq is not None:
            conditions.append("seq < :before")
            parameters["before"] = query.before_seq
        text = (
            f"SELECT {_LISTED} FROM chariots_jobs WHERE {' AND '.join(conditions)}"
            " ORDER BY seq DESC LIMIT :limit"
        )
        return self.ready(text), parameters


def _parameters(status: str, changes: Mapping[str, Any]) -> Parameters:
    parameters: Parameters = {"status": status}
    for name, value in changes.items():
        if isinstance(value, FromNow):
            parameters[name] = value.seconds
        elif isinstance(value, Plus):
            parameters[name] = value.n
        else:
            parameters[name] = to_column(value)
    return parameters


def _where_from(app: str, backend: str, queues: tuple[str, ...]) -> Parameters:
    return {
        "app": app,
        "backend": backend,
        **{f"queue_{n}": queue for n, queue in enumerate(queues)},
    }


def _superfluous(job_id: str, kind: str, beyond: str) -> str:
    """
    The newest event of a kind that has to make room.
    """
    return (
        f"SELECT seq FROM chariots_job_events WHERE app = :app AND job_id = :{job_id}"
        f" AND kind = :{kind} ORDER BY seq DESC LIMIT 1 OFFSET :{beyond}"
    )


def _room(n: int) -> str:
    return (
        "DELETE FROM chariots_job_events AS e USING changed AS c"
        f" WHERE e.app = c.app AND e.job_id = c.id AND e.kind = :kind_{n}"
        f" AND e.seq <= ({_superfluous('g_id', f'kind_{n}', f'beyond_{n}')})"
    )


def _creation(clock: str) -> str:
    # A time that a job does not have is the clock plus NULL.
    times = ("queued_at", "due_at", "resend_at", "queue_expires_at")
    values = {
        **{name: f":{name}" for name in ("app", "status", "reason", "generation", *ASKED)},
        "idempotency_key": ":key",
        "idempotency_digest": ":digest",
        "attempt": "0",
        "token": "0",
        "cancel_requested": "FALSE",
        "created_at": clock,
        **{name: f"{clock} + :{name}" for name in times},
    }
    return (
        f"INSERT INTO chariots_jobs ({', '.join(values)}) VALUES ({', '.join(values.values())})"
        f" ON CONFLICT DO NOTHING RETURNING {_ALL}"
    )


def _heart_beat(clock: str) -> str:
    named = ("backend", "queues", "host", "pid", "state", "job_id")
    again = ", ".join(f"{name} = excluded.{name}" for name in (*named, "seen_at", "alive_until"))
    return (
        f"INSERT INTO chariots_job_workers (app, id, {', '.join(named)},"
        " started_at, seen_at, alive_until)"
        f" VALUES (:app, :id, {', '.join(f':{name}' for name in named)},"
        f" {clock}, {clock}, {clock} + :ttl)"
        f" ON CONFLICT (app, id) DO UPDATE SET {again}"
    )
