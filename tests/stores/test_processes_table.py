"""
The table of processes comes into databases that had none.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chariots_core.jobs.processes import ProcessRecord
from chariots_core.jobs.record import NewJob
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.jobs_sql.schema import SCHEMA
from chariots_core.sql import Database, Schema

#: A job store of the release before there was the table: a done job and a queued one.
FIRST = Path(__file__).with_name("first_job_store.sql")
DONE, WAITS = "a4d3c07645a58e695445e8fb53f1fca8", "78bbb9e9c4eb0df456fea71077564c6c"

WEB = ProcessRecord(id="p", kind="web", pipelines=("echo",))


def test_a_file_of_the_first_release_gets_the_table(tmp_path: Path) -> None:
    """
    A job store without the table of processes and the newer column of jobs gets both, and
    loses nothing.
    """
    path = tmp_path / "jobs.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(FIRST.read_text())
    with closing(SqlJobStore(f"sqlite:///{path}", app="shop")) as store:
        before = [store.get(DONE), store.get(WAITS)]
        store.report_process(WEB, ttl=60)
        after = [store.get(DONE), store.get(WAITS)]
        found = store.processes()
        newer = store.create(NewJob(pipeline="echo", backend="local", code="c")).record

    assert before == after
    assert ['"done"', None] == [job.value_json for job in after]
    assert [WEB] == found
    assert [None, None, "c"] == [job.code for job in (*after, newer)]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_older_release_goes_on_beside_it(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """
    The version of the jobs' tables stays, so that a release without the new table opens
    the database as before.
    """
    url = (
        f"sqlite:///{tmp_path}/jobs.db"
        if kind == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    with closing(SqlJobStore(url, app="shop")) as store:
        job = store.create(NewJob(pipeline="echo", backend="local")).record
        store.report_process(WEB, ttl=60)
        known_then = Schema(component="jobs", version=1, tables=SCHEMA.tables)
        older = Database(url, kind="job store", schema=known_then)
        older.ping()
        with older.reading() as connection:
            found = connection.exec_driver_sql("SELECT id FROM chariots_jobs").scalars().all()
        older.close()

    assert [job.id] == found


def test_a_later_release_may_report_more(tmp_path: Path) -> None:
    """
    What a later release reports beside is left out, and what it no longer reports is empty.
    """
    text = '{"id": "p", "kind": "web", "tomorrow": [1]}'

    assert ProcessRecord(id="p", kind="web") == ProcessRecord.from_json(text)
