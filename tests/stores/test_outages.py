"""
A server that goes away and comes back, clocks that are wrong, and who is let in.
"""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from chariots_core.errors import StoreUnavailable
from chariots_core.jobs import JobQuery, JobStatus, NewJob
from chariots_core.jobs.lifecycle import claim, complete
from chariots_core.jobs.status import Reason
from chariots_core.jobs.tick import TickReport, tick
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.patience import bounded
from chariots_core.sql import Database
from chariots_core.workers.contracts import RunnerSettings, RunOutcome
from chariots_core.workers.runner import JobRunner
from tests.conformance.postgres import PrivatePostgres, find_programs
from tests.conftest import missing_service
from tests.support import process_alive, services_hidden, wait_until
from tests.unit.workers_runner.kit import PIPELINES, FunctionApp
from tests.unit.workers_runner.test_limits import meanwhile, pid_in


def new_job() -> NewJob:
    """
    Some job.
    """
    return NewJob(pipeline="p", backend="b")


@pytest.fixture(scope="module", name="server")
def _server() -> Iterator[PrivatePostgres]:
    programs = None if services_hidden() else find_programs()
    if programs is None:
        missing_service("PostgreSQL's initdb and pg_ctl")
        return
    server = PrivatePostgres(programs)
    yield server
    server.close()


def _driver(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def test_restart_of_an_idle_server(server: PrivatePostgres) -> None:
    """
    (38, 42) After a restart of the server the next call is served: no status is lost.
    """
    store = SqlJobStore(server.url, app="idle")
    record = store.create(new_job()).record
    server.stop()
    server.start()

    assert record == store.get(record.id)
    assert claim(store, record.id, worker="w", lease=30.0) is not None
    store.close()


def test_server_that_is_down(server: PrivatePostgres) -> None:
    """
    (42) While the server is down every call says so; then all goes on as it was.
    """
    store = SqlJobStore(server.url, app="down")
    record = store.create(new_job()).record
    server.stop()
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="start PostgreSQL") as caught:
            store.get(record.id)
        assert caught.value.retry_after > 0
    server.start()

    assert record == store.get(record.id)
    store.close()


def test_connections_that_were_cut(postgres_tables: str) -> None:
    """
    (38) Every pooled connection that the server has cut is noticed before it is used.
    """
    store = SqlJobStore(postgres_tables, app="cut")
    record = store.create(new_job()).record
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(_driver(postgres_tables), autocommit=True) as connection:
        connection.execute(f"SELECT pg_terminate_backend(pid) {others}")
        wait_until(
            lambda: connection.execute(f"SELECT count(*) {others}").fetchone() == (0,),
            message="the connections to be cut",
        )

    running = claim(store, record.id, worker="w", lease=30.0)
    assert running is not None
    assert JobStatus.done is complete(store, running, value_json="1").status
    store.close()


def test_wrong_password(server: PrivatePostgres) -> None:
    """
    A wrong password is said to be one, and is not shown.
    """
    with psycopg.connect(_driver(server.url), autocommit=True) as connection:
        connection.execute("CREATE ROLE guarded LOGIN SUPERUSER PASSWORD 'right'")
        row = connection.execute("SHOW hba_file").fetchone()
        assert row is not None
        rules = "('host all guarded all scram-sha-256'), ('host all all all trust')"
        connection.execute(f"COPY (VALUES {rules}) TO '{row[0]}'")
        connection.execute("SELECT pg_reload_conf()")
    good = SqlJobStore(server.url.replace("chariots@", "guarded:right@"), app="a")
    good.ping()
    good.close()

    bad = SqlJobStore(server.url.replace("chariots@", "guarded:s3cret@"), app="a")
    with pytest.raises(StoreUnavailable, match="check the user and the password") as caught:
        bad.ping()
    assert "s3cret" not in str(caught.value)
    bad.close()


@pytest.mark.parametrize("missing", ["database", "user"])
def test_what_does_not_exist(server: PrivatePostgres, missing: str) -> None:
    """
    A database or a user that the server does not know is named, with what to do.
    """
    url = (
        server.url.rpartition("/")[0] + "/nowhere"
        if missing == "database"
        else server.url.replace("chariots@", "nobody@")
    )
    store = SqlJobStore(url, app="a")
    with pytest.raises(StoreUnavailable, match="does not exist; create that database or role"):
        store.ping()
    store.close()


# -- silence


@contextmanager
def store_of(server: PrivatePostgres, app: str) -> Iterator[SqlJobStore]:
    """
    A store that is connected, and is closed at the end.
    """
    store = SqlJobStore(server.url, app=app)
    store.ping()
    yield store
    store.close()


@pytest.mark.parametrize("connected", [True, False])
def test_silent_server_is_given_up(server: PrivatePostgres, connected: bool) -> None:
    """
    Who has something more urgent to do waits no longer for a server that is frozen, be it
    for an answer or for a connection; a later call connects anew.
    """
    with store_of(server, "silent") as store:
        record = store.create(new_job()).record
        if not connected:
            store.close()
        began = time.monotonic()
        with (
            server.frozen(),
            bounded(seconds=0.5),
            pytest.raises(StoreUnavailable, match="whether the server hangs"),
        ):
            store.get(record.id)

        assert 0.5 <= time.monotonic() - began < 1.5
        assert record == store.get(record.id)


def test_silence_is_bounded(server: PrivatePostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A server that has been silent for long is given up in any case.
    """
    monkeypatch.setattr("chariots_core.sql.psycopg_patience._LONGEST", 0.5)
    with store_of(server, "long") as store:
        with server.frozen(), pytest.raises(StoreUnavailable, match=r"given up after 0\.[5-9] s"):
            store.now()
        with server.frozen(), pytest.raises(StoreUnavailable), store._database.writing():
            pass

        store.ping()


def test_slow_answer_is_waited_for(server: PrivatePostgres) -> None:
    """
    A server that takes its time is waited for, within the bound.
    """
    database = Database(server.url)
    with bounded(seconds=30.0), database.cursor() as cursor:
        assert (1,) == cursor.execute("SELECT 1 FROM pg_sleep(0.5)").fetchone()
    database.close()


def test_timeout_while_the_server_is_frozen(server: PrivatePostgres, tmp_path: Path) -> None:
    """
    53: a job over its time is killed on time, though the server answers nothing.
    """
    path = tmp_path / "pid"
    took: list[float] = []
    value = json.dumps({"path": str(path), "seconds": 60})

    def freeze() -> None:
        pid = pid_in(path)
        with server.frozen():
            wait_until(lambda: not process_alive(pid), message="the end of the child")
            took.append(time.time() - path.stat().st_mtime)

    with running(server, lease=3.0) as (store, runner), meanwhile(freeze):
        job = NewJob(pipeline="mark_and_sleep", backend="b", input_json=value, timeout=2.5)
        record = store.create(job).record
        outcome = runner.run(record.id)

        assert (RunOutcome.FAILED, Reason.TIMEOUT) == (outcome, store.get(record.id).reason)
    assert took[0] < 3.5


def test_lease_goes_on_over_another_connection(server: PrivatePostgres, tmp_path: Path) -> None:
    """
    40: a connection that is frozen for good costs no job: the lease is renewed over another.
    """
    path = tmp_path / "pid"
    gate = tmp_path / "gate"
    running_jobs = "FROM chariots_jobs WHERE app = 'frozen' AND status = 'running'"
    value = json.dumps([str(path), str(gate)])

    def freeze() -> None:
        pid_in(path)
        with psycopg.connect(_driver(server.url), autocommit=True) as connection:
            stuck = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                "AND pid <> pg_backend_pid()"
            ).fetchall()
            lease = f"SELECT lease_until {running_jobs}"
            with server.frozen(*[pid for (pid,) in stuck]):
                until = connection.execute(lease).fetchone()
                wait_until(lambda: connection.execute(lease).fetchone() != until)
                gate.touch()
                wait_until(lambda: connection.execute(lease).fetchone() is None)

    with running(server, lease=1.5) as (store, runner), meanwhile(freeze):
        job = NewJob(pipeline="wait_for_gate", backend="b", input_json=value)
        record = store.create(job).record

        assert RunOutcome.DONE is runner.run(record.id)


@contextmanager
def running(server: PrivatePostgres, **settings: Any) -> Iterator[tuple[SqlJobStore, JobRunner]]:
    """
    A runner of the kit's pipelines, with its child started.
    """
    app = FunctionApp(PIPELINES, name="frozen")
    chosen = RunnerSettings(start_method="fork", **settings)
    with store_of(server, "frozen") as store:
        app.store = store
        with JobRunner(app, worker_id="w", settings=chosen) as runner:
            runner.prepare()
            yield store, runner


# -- clocks


def _work_with_wrong_clock(url: str, hours: float) -> None:
    """
    Take and finish a job in a process whose clock is wrong.
    """
    real, shift = time.time, hours * 3600.0

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Wrong:
            return cls.fromtimestamp(real() + shift, tz)

    time.time = lambda: real() + shift
    dt.datetime = Wrong  # type: ignore[misc]
    assert abs(dt.datetime.now(UTC).timestamp() - real()) > 3000

    store = SqlJobStore(url, app="a")
    record = store.claim_next(backend="b", queues=["default"], worker="w", lease=30.0)
    assert record is not None
    assert TickReport() == tick(store, dispatch=lambda _record: None, publish=lambda _record: None)
    complete(store, record, value_json="1")
    store.create(new_job())
    store.close()


@pytest.mark.parametrize("hours", [-1.0, 1.0])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_wrong_clock(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, hours: float
) -> None:
    """
    (44) A worker whose clock is off by an hour loses no job and gains no time: only the
    store's clock counts.
    """
    url = (
        f"sqlite:///{tmp_path}/jobs.db"
        if kind == "sqlite"
        else str(request.getfixturevalue("postgres_tables"))
    )
    store = SqlJobStore(url, app="a")
    job_id = store.create(new_job()).record.id
    other = store.create(new_job()).record
    claim(store, other.id, worker="w0", lease=30.0)
    child = multiprocessing.get_context("fork").Process(
        target=_work_with_wrong_clock, args=(url, hours)
    )
    child.start()
    child.join(30.0)

    assert 0 == child.exitcode
    done, now = store.get(job_id), store.now()
    times = [done.created_at, done.queued_at, done.started_at, done.finished_at]
    known = [moment for moment in times if moment is not None]
    assert sorted(known) == known
    assert 4 == len(known)
    newest = store.list_jobs(JobQuery(limit=1))[0]
    assert all(
        timedelta(0) <= now - moment < timedelta(seconds=30)
        for moment in (*known, newest.created_at)
    )
    assert JobStatus.running is store.get(other.id).status
    store.close()
