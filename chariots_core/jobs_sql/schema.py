"""
The tables of the job store.

Times are seconds since 1970 by the database's clock. ``wake_at`` is derived
from the other columns: when the record next wants attention. Partial indexes on it
answer "what is due" without a look at the jobs that wait for nothing, and without one
at the queued ones, of which there may be many. The next try of a publication is the
exception: the column does not have it, so that databases of older releases still fit.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from chariots_core.sql import Schema

_tables: Final = sa.MetaData()
_Key: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_Time: Final[sa.types.TypeEngine[float]] = sa.Double().with_variant(sa.REAL(), "sqlite")

_WAKE_AT: Final = """
CASE status
  WHEN 'running' THEN lease_until
  WHEN 'queued' THEN
    CASE WHEN queue_expires_at IS NULL OR resend_at <= queue_expires_at
         THEN resend_at ELSE queue_expires_at END
  WHEN 'deferred' THEN
    CASE WHEN queue_expires_at IS NULL OR due_at <= queue_expires_at
         THEN due_at ELSE queue_expires_at END
  WHEN 'done' THEN
    CASE WHEN manifest_json IS NOT NULL AND published_at IS NULL
         THEN coalesce(resend_at, finished_at) END
END
"""


def _sequence() -> sa.Column[int]:
    return sa.Column("seq", _Key, sa.Identity(always=True), primary_key=True)


def _text(name: str, *, required: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=not required)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _time(name: str, *, required: bool = False) -> sa.Column[float]:
    return sa.Column(name, _Time, nullable=not required)


# The long texts come last: SQLite then reaches the others without reading them.
jobs: Final = sa.Table(
    "chariots_jobs",
    _tables,
    _sequence(),
    _text("app", required=True),
    _text("id", required=True),
    _text("pipeline", required=True),
    _text("backend", required=True),
    _text("queue", required=True),
    _text("status", required=True),
    _text("reason"),
    _number("priority"),
    _number("attempt"),
    _number("max_attempts"),
    _number("token"),
    _number("generation"),
    sa.Column("cancel_requested", sa.Boolean(create_constraint=False), nullable=False),
    _text("worker"),
    _time("timeout"),
    _time("retry_delay", required=True),
    _time("queue_timeout"),
    _time("resend_after"),
    sa.Column("code", sa.Text),
    _time("result_ttl", required=True),
    _time("created_at", required=True),
    _time("queued_at"),
    _time("started_at"),
    _time("finished_at"),
    _time("expires_at"),
    _time("published_at"),
    _time("lease_until"),
    _time("due_at"),
    _time("resend_at"),
    _time("queue_expires_at"),
    sa.Column("wake_at", _Time, sa.Computed(_WAKE_AT, persisted=True)),
    _text("idempotency_key"),
    _text("idempotency_digest"),
    _text("progress"),
    _text("versions"),
    _text("error"),
    _text("input_ref"),
    _text("value_ref"),
    _text("input_json"),
    _text("value_json"),
    _text("manifest_json"),
    sqlite_autoincrement=True,
)

events: Final = sa.Table(
    "chariots_job_events",
    _tables,
    _sequence(),
    _text("app", required=True),
    _text("job_id", required=True),
    _time("at", required=True),
    _text("kind", required=True),
    _text("status", required=True),
    _text("reason"),
    _number("attempt"),
    _text("data"),
    sqlite_autoincrement=True,
)

workers: Final = sa.Table(
    "chariots_job_workers",
    _tables,
    sa.Column("app", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    _text("backend", required=True),
    _text("queues", required=True),
    _text("host", required=True),
    _number("pid"),
    _text("state", required=True),
    _text("job_id"),
    _time("started_at", required=True),
    _time("seen_at", required=True),
    _time("alive_until", required=True),
)


def _partial(name: str, *columns: Any, where: str, unique: bool = False) -> sa.Index:
    condition = sa.text(where)
    return sa.Index(
        name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition
    )


sa.Index("chariots_jobs_id", jobs.c.app, jobs.c.id, unique=True)
sa.Index("chariots_jobs_newest", jobs.c.app, jobs.c.seq, jobs.c.created_at)
sa.Index("chariots_jobs_status", jobs.c.app, jobs.c.status, jobs.c.seq)
sa.Index("chariots_jobs_pipeline", jobs.c.app, jobs.c.pipeline, jobs.c.seq)
sa.Index("chariots_job_events_job", events.c.app, events.c.job_id, events.c.seq)
_partial(
    "chariots_jobs_claimable",
    jobs.c.app,
    jobs.c.backend,
    jobs.c.queue,
    jobs.c.priority.desc(),
    jobs.c.seq,
    where="status = 'queued'",
)
_partial(
    "chariots_jobs_wake",
    jobs.c.app,
    jobs.c.wake_at,
    where="wake_at IS NOT NULL AND status <> 'queued'",
)
_partial(
    "chariots_jobs_wake_queued",
    jobs.c.app,
    jobs.c.wake_at,
    where="wake_at IS NOT NULL AND status = 'queued'",
)
_partial("chariots_jobs_expires", jobs.c.app, jobs.c.expires_at, where="expires_at IS NOT NULL")
_partial(
    "chariots_jobs_idempotency",
    jobs.c.app,
    jobs.c.idempotency_key,
    where="idempotency_key IS NOT NULL",
    unique=True,
)

SCHEMA: Final = Schema(
    component="jobs",
    version=1,
    tables=_tables,
    additions=("ALTER TABLE chariots_jobs ADD COLUMN code TEXT",),
)
