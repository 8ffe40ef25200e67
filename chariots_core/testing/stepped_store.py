"""
An SQL job store whose clock tests move: time passes without anybody waiting.
"""

from __future__ import annotations

from sqlalchemy import text

from chariots_core.jobs_sql import SqlJobStore
from chariots_core.sql import Database

_CREATE = "CREATE TABLE IF NOT EXISTS chariots_test_clock (seconds DOUBLE PRECISION NOT NULL)"


class SteppedSqlJobStore(SqlJobStore):
    """
    A `SqlJobStore` on a database that a `SteppedDatabase` prepared.

    The clock is the database's own, moved by a number of seconds that the
    database holds: every process and every handle sees the same time.
    """

    def _clock(self) -> str:
        moved = "(SELECT seconds FROM chariots_test_clock)"
        return f"({super()._clock()} + {moved})"


class SteppedDatabase:
    """
    A database, the handles that a test opens on it, and its clock.

    Args:
        url: of an empty database.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._database = Database(url, kind="stepped clock")
        self._opened: list[SqlJobStore] = []
        with self._database.writing() as connection:
            connection.execute(text(_CREATE))
            connection.execute(text("INSERT INTO chariots_test_clock (seconds) VALUES (0.0)"))

    def open(self, app: str = "app") -> SteppedSqlJobStore:
        """
        A new handle on the jobs of *app*.
        """
        store = SteppedSqlJobStore(self.url, app=app)
        self._opened.append(store)
        return store

    def advance(self, seconds: float) -> None:
        """
        Let *seconds* pass.
        """
        with self._database.writing() as connection:
            connection.execute(
                text("UPDATE chariots_test_clock SET seconds = seconds + :more"),
                {"more": seconds},
            )

    def close(self) -> None:
        """
        Close every handle.
        """
        for store in self._opened:
            store.close()
        self._database.close()
