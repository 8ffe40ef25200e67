"""
One short transaction for each operation: reads, changes with their events, and
several statements at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from chariots_core.jobs.changes import NewEvent
from chariots_core.jobs_sql.rows import to_column
from chariots_core.jobs_sql.statements import Change, Statements
from chariots_core.sql import Database

Row = Sequence[Any]


class Transactions:
    """
    What a store does to the database of one app's jobs.

    Args:
        database: where they are.
        statements: made for its dialect.
        app: whose jobs they are.
    """

    def __init__(self, database: Database, statements: Statements, *, app: str) -> None:
        self._database = database
        self._statements = statements
        self._app = app
        self._sqlite = database.dialect == "sqlite"

    def read(self, text: str, parameters: Mapping[str, Any]) -> list[Row]:
        """
        The rows that a statement returns; it is its own transaction.
        """
        with self._database.cursor() as cursor:
            cursor.execute(text, parameters)
            found: list[Row] = cursor.fetchall()
            return found

    @contextmanager
    def several(self) -> Iterator[Any]:
        """
        A cursor in a transaction of several statements, all of them or none.
        """
        with self._database.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE" if self._sqlite else "BEGIN")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def write(self, change: Change, events: Sequence[NewEvent]) -> Row | None:
        """
        Make a change of one job and write its events.

        Returns:
            The job's row as written; ``None`` if there was nothing to change.
        """
        if self._sqlite:
            return self._write_sqlite(change, events)
        return self._write_postgresql(change, events)

    def make_room(self, cursor: Any, job_id: str, event: NewEvent) -> None:
        """
        Delete the events of its kind for which *event* leaves no room.
        """
        if event.keep is not None:
            parameters = {
                "app": self._app,
                "job_id": job_id,
                "kind": event.kind,
                "beyond": event.keep - 1,
            }
            cursor.execute(self._statements.make_room, parameters)

    def _write_postgresql(self, change: Change, events: Sequence[NewEvent]) -> Row | None:
        text, parameters = change.text, dict(change.parameters)
        if events:
            text = self._statements.with_events(
                text, tuple(event.keep is not None for event in events)
            )
        for n, event in enumerate(events):
            parameters[f"kind_{n}"] = event.kind
            parameters[f"data_{n}"] = to_column(event.data)
            if event.keep is not None:
                parameters[f"beyond_{n}"] = event.keep - 1
        with self._database.cursor() as cursor:
            row: Row | None = cursor.execute(text, parameters).fetchone()
            return row

    def _write_sqlite(self, change: Change, events: Sequence[NewEvent]) -> Row | None:
        with self._database.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            found = cursor.execute(change.text, change.parameters).fetchall()
            if not found:
                cursor.execute("ROLLBACK")
                return None
            row: Row = found[0]
            for event in events:
                self.make_room(cursor, row[0], event)
                cursor.execute(self._statements.event, self._event_row(row, event))
            cursor.execute("COMMIT")
            return row

    def _event_row(self, row: Row, event: NewEvent) -> dict[str, Any]:
        return {
            "app": self._app,
            "job_id": row[0],
            "kind": event.kind,
            "status": row[6],
            "reason": row[7],
            "attempt": row[8],
            "data": to_column(event.data),
        }
