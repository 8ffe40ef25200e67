"""
The statements look up, and never walk through the jobs that are over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chariots_core.jobs import FromNow, Guard, JobQuery, JobStatus, When
from chariots_core.jobs.lifecycle import claim_changes
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.jobs_sql.statements import Statements
from chariots_core.sql import CLOCKS, Database

APP = "a"
FINISHED = 100_000

#: Jobs that are over, every tenth of them failed.
FILL = """
INSERT INTO chariots_jobs (app, id, pipeline, backend, queue, status, priority, attempt,
    max_attempts, token, generation, cancel_requested, retry_delay, result_ttl, created_at,
    queued_at, started_at, finished_at, expires_at, value_json)
SELECT 'a', 'old' || n, 'p' || (n % 7), 'b', 'default',
    CASE WHEN n % 10 = 0 THEN 'failed' ELSE 'done' END,
    0, 1, 1, 1, 1, FALSE, 0.0, 604800.0, {clock} - 9.0, {clock} - 9.0, {clock} - 9.0,
    {clock} - 9.0, {clock} + 604800.0, 'true'
FROM {numbers}
"""
EVENTS = """
INSERT INTO chariots_job_events (app, job_id, at, kind, status, reason, attempt)
SELECT app, id, created_at, 'state', status, reason, attempt FROM chariots_jobs
"""
SQLITE_NUMBERS = f"""
(WITH RECURSIVE counter (n) AS
    (SELECT 1 UNION ALL SELECT n + 1 FROM counter WHERE n < {FINISHED})
 SELECT n FROM counter)
"""

GUARD = Guard(job_id="old5", status=JobStatus.running, attempt=1, token=1)
CHANGES: dict[str, Any] = {"lease_until": FromNow(9.0)}


def cases(dialect: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """
    Every statement that runs often, with its parameters.
    """
    made = Statements(dialect, CLOCKS[dialect])
    change = made.change(APP, GUARD, "running", CHANGES)
    lease = made.change(
        APP, Guard(job_id="x", status=JobStatus.running, when=When.lease_expired), "failed", {}
    )
    claiming = claim_changes(worker="w", lease=9.0)
    one = made.claim_next(APP, "b", ("default",), claiming)
    two = made.claim_next(APP, "b", ("default", "other"), claiming)
    return {
        "get": (made.get, {"app": APP, "id": "x"}),
        "twin": (made.twin, {"app": APP, "id": "x", "key": "k"}),
        "free id": (made.free_id, {"app": APP, "id": "old5"}),
        "free key": (made.free_key, {"app": APP, "key": "k"}),
        "room": (
            made.make_room,
            {"app": APP, "job_id": "old5", "kind": "state", "beyond": 1},
        ),
        "change": (change.text, change.parameters),
        "settle": (lease.text, lease.parameters),
        "claim": (one.text, one.parameters),
        "claim of two": (two.text, two.parameters),
        "startable": made.any_startable(APP, "b", ("default", "other")),
        "due": (made.due, {"app": APP, "limit": 100}),
        "due queued": (made.due_queued, {"app": APP, "limit": 100}),
        "due one": (made.due_one, {"app": APP, "id": "x"}),
        "expired": (made.any_expired, {"app": APP}),
        "counts": (made.counts, {"app": APP}),
        "events": (made.events, {"app": APP, "id": "x", "after": 0, "limit": 9}),
        "list": made.listing(APP, JobQuery()),
        "list of a status": made.listing(APP, JobQuery(status=JobStatus.failed)),
        "list of a pipeline": made.listing(APP, JobQuery(pipeline="p3", before_seq=9_000)),
    }


NAMES = list(cases("sqlite"))


def progress() -> tuple[str, dict[str, Any]]:
    """
    PostgreSQL's one statement for a change, its event, and the events that make room.
    """
    made = Statements("postgresql", CLOCKS["postgresql"])
    change = made.change(APP, Guard(job_id="old5", status=JobStatus.done), "done", CHANGES)
    event = {"kind_0": "state", "data_0": "{}", "beyond_0": 1}
    return made.with_events(change.text, (True,)), {**change.parameters, **event}


@pytest.fixture(scope="module", name="sqlite")
def _sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path_factory.mktemp('plans')}/jobs.db"
    yield from _filled(url, SQLITE_NUMBERS)


@pytest.fixture(scope="module", name="postgresql")
def _postgresql(postgres_database: str) -> Iterator[Database]:
    yield from _filled(postgres_database, f"generate_series(1, {FINISHED}) AS counter (n)")


def _filled(url: str, numbers: str) -> Iterator[Database]:
    store = SqlJobStore(url, app=APP)
    store.ping()
    database = Database(url)
    clock = CLOCKS[database.dialect]
    try:
        with database.cursor() as cursor:
            cursor.execute(FILL.format(clock=clock, numbers=numbers))
            cursor.execute(EVENTS)
            cursor.execute("ANALYZE")
        yield database
    finally:
        database.close()
        store.close()


@pytest.mark.parametrize("name", NAMES)
def test_plans_of_sqlite(sqlite: Database, name: str) -> None:
    """
    SQLite finds every row by an index, without a scan of a table or a sort.
    """
    statement, parameters = cases("sqlite")[name]
    with sqlite.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plan = [str(row[3]) for row in cursor.fetchall()]

    walked = [
        step
        for step in plan
        if step.startswith("SCAN chariots_")
        or ("TEMP B-TREE" in step and name not in ("twin", "claim of two", "startable"))
    ]
    assert [] == walked, plan


@pytest.mark.parametrize("name", [*NAMES, "progress"])
def test_plans_of_postgresql(postgresql: Database, name: str) -> None:
    """
    PostgreSQL finds every row by an index, and looks at a few.
    """
    statement, parameters = {**cases("postgresql"), "progress": progress()}[name]
    with postgresql.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF) {statement}", parameters)
        plan = "\n".join(str(row[0]) for row in cursor.fetchall())

    assert not re.search(r"Seq Scan on chariots_job(s|_events)", plan), plan
    looked_at = [int(rows) for rows in re.findall(r"actual rows=(\d+)", plan)]
    removed = [int(rows) for rows in re.findall(r"Rows Removed by Filter: (\d+)", plan)]
    assert max(looked_at + removed) <= 1000, plan


def test_work_of_sqlite(sqlite: Database, tmp_path: Path) -> None:
    """
    With a hundred thousand finished jobs, each statement does about as little as
    in an empty store.
    """
    empty = Database(f"sqlite:///{tmp_path}/jobs.db")
    store = SqlJobStore(f"sqlite:///{tmp_path}/jobs.db", app=APP)
    store.ping()
    many = {name: _steps(sqlite, *cases("sqlite")[name]) for name in NAMES}
    few = {name: _steps(empty, *cases("sqlite")[name]) for name in NAMES}
    store.close()
    empty.close()

    # A list has fifty rows more to read, of some forty columns each.
    allowed = {name: few[name] + (60 * 120 if name.startswith("list") else 200) for name in NAMES}
    assert {} == {name: many[name] for name in NAMES if many[name] > allowed[name]}


def _steps(database: Database, statement: str, parameters: dict[str, Any]) -> int:
    """
    How many instructions of SQLite's machine a statement takes, to the nearest ten.
    """
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    with database.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.connection.set_progress_handler(count, 10)
        try:
            cursor.execute(statement, parameters).fetchall()
        finally:
            cursor.connection.set_progress_handler(None, 10)
        cursor.execute("ROLLBACK")
    return steps * 10
