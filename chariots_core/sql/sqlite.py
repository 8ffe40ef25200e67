"""
How SQLite is opened: in WAL mode, with transactions said in so many words, and
with a patience of our own.

SQLite waits for a busy file in steps that grow to a tenth of a second, so that
under load some processes wait long and others not at all. Transactions here
last a tenth of a millisecond, so steps of that order are fairer and quicker.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event

from chariots_core import patience as bounds
from chariots_core.sql.addresses import Address

T = TypeVar("T")

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY})
_READS: Final = ("SELECT", "WITH", "PRAGMA")
_SHORT_STEPS: Final = 100


class PatientCursor(sqlite3.Cursor):
    """
    Waits for a busy file before it gives up.
    """

    def execute(self, sql: str, parameters: Any = (), /) -> PatientCursor:
        try:
            super().execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if not self._may_wait(error, sql):
                raise
            patience: float = getattr(self.connection, "patience", 0.0)
            wait_for(lambda: super(PatientCursor, self).execute(sql, parameters), patience)
        return self

    def _may_wait(self, error: sqlite3.OperationalError, sql: str) -> bool:
        # Within a transaction only what reads can wait, e.g. for a process that
        # is the first to open the file or the last to close it. A write would
        # wait for itself.
        return is_busy(error) and (
            not self.connection.in_transaction or sql.lstrip().upper().startswith(_READS)
        )


class PatientConnection(sqlite3.Connection):
    """
    A connection whose cursors wait.

    Attributes:
        patience: for how many seconds.
    """

    patience: float = 30.0

    def cursor(self, factory: Any = PatientCursor) -> Any:
        return super().cursor(factory)


def is_busy(error: sqlite3.OperationalError) -> bool:
    """
    Whether somebody else holds the file just now.
    """
    return error.sqlite_errorcode in _BUSY


def wait_for(act: Callable[[], T], patience: float) -> T:
    """
    Call *act* until the file is not busy, for *patience* seconds at most, and
    only while the caller has not something more urgent to do.
    """
    deadline = time.monotonic() + patience
    tries = 0
    while True:
        tries += 1
        time.sleep(random.uniform(0.0001, 0.001 if tries < _SHORT_STEPS else 0.005))
        try:
            return act()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline or bounds.is_over():
                raise


def sqlite_engine(address: Address) -> Engine:
    """
    An engine on a file.
    """
    engine = sa.create_engine(
        address.url,
        pool_use_lifo=True,
        connect_args={"timeout": 0.0, "factory": PatientConnection},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: PatientConnection, _record: object) -> None:
        connection.isolation_level = None
        connection.patience = address.busy_timeout
        cursor = connection.cursor()
        if cursor.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {address.synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("chariots_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def leave_clean(connection: sqlite3.Connection) -> None:
    """
    Roll back what was left open.
    """
    if connection.in_transaction:
        connection.rollback()
