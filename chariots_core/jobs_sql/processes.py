"""
The processes of an app, in a table of their own beside its jobs.

The table has a component of its own in the database's schema: a database of an earlier
release gets it at the first report, and that release does not notice it.
"""

# ruff: noqa: S608 - the clock is a constant of this package

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import sqlalchemy as sa

from chariots_core.jobs.processes import ProcessRecord
from chariots_core.sql import Database, Schema

_tables: Final = sa.MetaData()

sa.Table(
    "chariots_processes",
    _tables,
    sa.Column("app", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("alive_until", sa.Double().with_variant(sa.REAL(), "sqlite"), nullable=False),
)

SCHEMA: Final = Schema(component="processes", version=1, tables=_tables)


class Processes:
    """
    The processes of one app in one database.

    It has a handle of its own: the table is created at the first use.

    Args:
        url: of the database.
        clock: the database's clock, as an SQL expression.
        ready: writes a statement in the way of the driver.
        app: whose processes they are.
    """

    def __init__(self, url: str, *, clock: str, ready: Callable[[str], str], app: str) -> None:
        self._database = Database(url, kind="job store", schema=SCHEMA)
        self._app = app
        self._clock = clock
        self._ready = ready

    def report(self, process: ProcessRecord, *, ttl: float) -> None:
        """
        See `JobStore.report_process`.
        """
        with self._cursor() as cursor:
            cursor.execute(
                self._ready(
                    "INSERT INTO chariots_processes (app, id, facts, alive_until)"
                    f" VALUES (:app, :id, :facts, {self._clock} + :ttl)"
                    " ON CONFLICT (app, id) DO UPDATE"
                    " SET facts = excluded.facts, alive_until = excluded.alive_until"
                ),
                {"app": self._app, "id": process.id, "facts": process.to_json(), "ttl": ttl},
            )
            cursor.execute(
                self._ready(
                    "DELETE FROM chariots_processes"
                    f" WHERE app = :app AND alive_until <= {self._clock}"
                ),
                {"app": self._app},
            )

    def remove(self, process_id: str) -> None:
        """
        See `JobStore.remove_process`.
        """
        with self._cursor() as cursor:
            cursor.execute(
                self._ready("DELETE FROM chariots_processes WHERE app = :app AND id = :id"),
                {"app": self._app, "id": process_id},
            )

    def alive(self) -> Sequence[ProcessRecord]:
        """
        See `JobStore.processes`.
        """
        with self._cursor() as cursor:
            cursor.execute(
                self._ready(
                    "SELECT facts FROM chariots_processes"
                    f" WHERE app = :app AND alive_until > {self._clock} ORDER BY id"
                ),
                {"app": self._app},
            )
            return [ProcessRecord.from_json(row[0]) for row in cursor.fetchall()]

    def close(self) -> None:
        """
        Give back connections. Idempotent; a later use connects anew.
        """
        self._database.close()

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        try:
            with self._database.cursor() as cursor:
                yield cursor
        finally:
            # It is used three times a minute: a server's connection is not kept for that.
            if self._database.dialect == "postgresql":
                self._database.close()
