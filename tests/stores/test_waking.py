"""
The databases know when a job next wants attention as core does.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import given, settings

from chariots_core.jobs import JobRecord, JobStatus, Reason, wake_at
from chariots_core.jobs_sql.schema import jobs
from chariots_core.jobs_sql.statements import _PUBLISHING_DUE
from chariots_core.sql import Database

#: Conditions of the statements, each with a moment in place of the clock.
IS_DUE = f"wake_at <= :now OR ({_PUBLISHING_DUE.format(now=':now')})"

TIMES = ("lease_until", "due_at", "resend_at", "queue_expires_at", "finished_at", "published_at")

TEXTS = ("status", "reason", "manifest_json")
SECONDS = range(1, 6)

whole_seconds = st.none() | st.integers(1, 5)
records = st.fixed_dictionaries(
    {
        "status": st.sampled_from(JobStatus),
        "reason": st.sampled_from([None, Reason.RETRYING, Reason.PUBLISHING]),
        "manifest_json": st.sampled_from([None, "{}"]),
        **dict.fromkeys(TIMES, whole_seconds),
    }
    # What is publishing has no lease any more.
).map(lambda facts: facts | {"lease_until": None} if _is_publishing(facts) else facts)


@pytest.fixture(name="sqlite", scope="module")
def _sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('waking')}/jobs.db")
    yield database
    database.close()


@pytest.fixture(name="postgresql", scope="module")
def _postgresql(postgres_database: str) -> Iterator[Database]:
    database = Database(postgres_database)
    yield database
    database.close()


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(facts=records)
def test_sqlite_wakes_as_core_does(sqlite: Database, facts: dict[str, Any]) -> None:
    """
    SQLite finds a job due when `wake_at` of the record says so.
    """
    assert _as_core_says(facts) == _as_the_database_says(sqlite, facts)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(facts=records)
def test_postgresql_wakes_as_core_does(postgresql: Database, facts: dict[str, Any]) -> None:
    """
    PostgreSQL finds a job due when `wake_at` of the record says so.
    """
    assert _as_core_says(facts) == _as_the_database_says(postgresql, facts)


def _is_publishing(facts: dict[str, Any]) -> bool:
    return (facts["status"], facts["reason"]) == (JobStatus.running, Reason.PUBLISHING)


def _as_core_says(facts: dict[str, Any]) -> list[bool]:
    """
    Whether it is due at each second.
    """
    times: dict[str, Any] = {name: _moment(facts[name]) for name in TIMES}
    record = JobRecord(
        id="j",
        seq=1,
        app="a",
        pipeline="p",
        backend="b",
        queue="default",
        created_at=datetime.fromtimestamp(0, UTC),
        status=facts["status"],
        reason=facts["reason"],
        manifest_json=facts["manifest_json"],
        **times,
    )
    moment = wake_at(record)
    return [moment is not None and moment.timestamp() <= now for now in SECONDS]


def _moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _as_the_database_says(database: Database, facts: dict[str, Any]) -> list[bool]:
    computed = jobs.c.wake_at.computed
    assert computed is not None
    row = ", ".join(
        [
            *(f"CAST(:{name} AS double precision) AS {name}" for name in TIMES),
            *(f"CAST(:{name} AS text) AS {name}" for name in TEXTS),
        ]
    )
    statement = sa.text(
        f"SELECT coalesce({IS_DUE}, FALSE) FROM"
        f" (SELECT *, {computed.sqltext} AS wake_at FROM (SELECT {row}) AS job) AS computed"
    )
    with database.reading() as connection:
        return [
            bool(
                connection.execute(
                    statement, {**facts, "status": facts["status"].value, "now": now}
                ).scalar_one()
            )
            for now in SECONDS
        ]
