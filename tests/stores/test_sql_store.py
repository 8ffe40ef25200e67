"""
What only `SqlJobStore` promises.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chariots_core.errors import ConfigurationError
from chariots_core.jobs import WorkerRecord
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.sql import Database
from chariots_core.testing.stepped_store import SteppedDatabase


@pytest.fixture(name="database")
def _database(tmp_path: Path) -> Iterator[SteppedDatabase]:
    database = SteppedDatabase(f"sqlite:///{tmp_path}/jobs.db")
    yield database
    database.close()


def test_workers_that_never_said_goodbye(database: SteppedDatabase) -> None:
    """
    Workers that died long ago are deleted, even where no job is ever forgotten.
    """
    store = database.open()
    store.beat(WorkerRecord(id="died", backend="b"), ttl=10.0)
    database.advance(7200.0)
    store.beat(WorkerRecord(id="lives", backend="b"), ttl=10.0)
    store.expire()

    other = Database(database.url)
    with other.cursor() as cursor:
        rows = cursor.execute("SELECT id FROM chariots_job_workers").fetchall()
    other.close()
    assert [("lives",)] == rows


def test_text_of_a_store() -> None:
    """
    (64) A store prints where it is and whose, and keeps its password to itself.
    """
    store = SqlJobStore("postgresql://u:s3cret@h/x", app="mine")

    assert "SqlJobStore('postgresql://u:***@h/x', app='mine')" == repr(store)


def test_address_that_cannot_work() -> None:
    """
    A wrong address is refused when the store is made, and says whose address it is.
    """
    with pytest.raises(ConfigurationError, match="job store"):
        SqlJobStore("mongodb://h/x", app="mine")
