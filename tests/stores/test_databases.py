"""
Databases: opened late, shared by threads and processes, and named when they fail.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import text

from chariots_core.errors import ConfigurationError, StoreUnavailable
from chariots_core.jobs import NewJob
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.jobs_sql.schema import SCHEMA
from chariots_core.sql import Database, Schema
from chariots_core.sql.sqlite import PatientConnection, wait_for
from tests.support import free_port, wait_until

_things = sa.MetaData()
sa.Table("things", _things, sa.Column("name", sa.String, primary_key=True))
THINGS = Schema(component="things", version=3, tables=_things)


def database(path: Path, options: str = "") -> Database:
    """
    A database with one table, in a file.
    """
    return Database(f"sqlite:///{path}{options}", kind="thing store", schema=THINGS)


def put(store: Database, name: str) -> None:
    """
    Write a row.
    """
    with store.writing() as connection:
        connection.execute(text("INSERT INTO things VALUES (:name)"), {"name": name})


def names(store: Database) -> list[str]:
    """
    The rows.
    """
    with store.reading() as connection:
        return list(connection.execute(text("SELECT name FROM things ORDER BY name")).scalars())


def descriptors() -> int:
    """
    How many files and sockets this process has open.
    """
    return len(list(Path("/proc/self/fd").iterdir()))


def open_paths() -> list[str]:
    """
    The files that this process has open.
    """
    return [
        str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()
    ]


# -- opening


def test_handle_does_nothing(tmp_path: Path) -> None:
    """
    (6) Making a handle opens nothing, even where nothing could be opened.
    """
    before = descriptors()
    Database(f"sqlite:///{tmp_path}/a/b.db")
    Database(f"postgresql://u@127.0.0.1:{free_port()}/x")

    assert (before, []) == (descriptors(), list(tmp_path.iterdir()))


def test_folder_is_made(tmp_path: Path) -> None:
    """
    The folder of a file is made at the first use.
    """
    store = database(tmp_path / "a" / "b" / "c.db")
    put(store, "x")

    assert (["x"], True) == (names(store), (tmp_path / "a/b/c.db").is_file())
    store.close()


def test_place_is_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A relative path means the folder in which the handle was made.
    """
    monkeypatch.chdir(tmp_path)
    store = Database("sqlite:///here.db", schema=THINGS)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    put(store, "x")
    store.close()

    assert (tmp_path / "here.db").is_file()


def test_modes(tmp_path: Path) -> None:
    """
    SQLite runs in WAL mode and syncs as it is told to.
    """
    modes = []
    for options in ("", "?synchronous=full", "?synchronous=OFF&busy_timeout=1.5"):
        store = database(tmp_path / "x.db", options)
        with store.cursor() as cursor:
            modes.append(
                [
                    cursor.execute(f"PRAGMA {name}").fetchone()[0]
                    for name in ("journal_mode", "synchronous")
                ]
            )
        store.close()

    assert [["wal", 1], ["wal", 2], ["wal", 0]] == modes


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "sqlite:///relative.db"),
        ("jobs.db", "sqlite:///relative.db"),
        ("mysql://u:s3cret@h/x", "sqlite:///relative.db"),
        ("redis://:s3cret@h", "sqlite:///relative.db"),
        ("postgresql://u:s3cret@h:port/x", "sqlite:///relative.db"),
        ("sqlite://", "several processes"),
        ("sqlite:///:memory:", "several processes"),
        ("sqlite:///x.db?synchronous=maybe", "'maybe'"),
        ("sqlite:///x.db?busy_timeout=soon", "'soon'"),
        ("sqlite:///x.db?busy_timeout=-1", "'-1'"),
    ],
)
def test_address_that_cannot_work(url: str, says: str) -> None:
    """
    A wrong address is refused at once, with what would be right and without its password.
    """
    with pytest.raises(ConfigurationError, match=says) as caught:
        Database(url, kind="thing store")
    assert "thing store" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_old_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A SQLite that lacks what is needed is refused by its version, before any table is made.
    """
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 26, 0))

    with pytest.raises(ConfigurationError, match=r"SQLite 3\.35\.0 or newer"):
        Database("sqlite:///x.db")


def test_password_is_hidden() -> None:
    """
    (64) No text about a database shows a password, wherever the address has it.
    """
    store = Database("postgresql://u:s3cret@h/x?password=s3cret&sslmode=require")

    assert "s3cret" not in repr(store) + store.name
    assert "postgresql://u:***@h/x?sslmode=require" == store.name


# -- what cannot be opened


def _folder(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}"


def _below_a_file(tmp_path: Path) -> str:
    (tmp_path / "file").write_text("")
    return f"sqlite:///{tmp_path}/file/jobs.db"


def _unwritable(_: Path) -> str:
    return "sqlite:////proc/jobs.db"


def _not_a_database(tmp_path: Path) -> str:
    (tmp_path / "x.db").write_text("hello, this is a letter, and no database at all\n" * 100)
    return f"sqlite:///{tmp_path}/x.db"


def _damaged(tmp_path: Path) -> str:
    store = SqlJobStore(f"sqlite:///{tmp_path}/x.db", app="a")
    store.ping()
    store.close()
    content = (tmp_path / "x.db").read_bytes()
    (tmp_path / "x.db").write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    return f"sqlite:///{tmp_path}/x.db"


def _nobody_there(_: Path) -> str:
    return f"postgresql://u:s3cret@127.0.0.1:{free_port()}/x?connect_timeout=2"


def _no_such_host(_: Path) -> str:
    return "postgresql://u:s3cret@nowhere.invalid/x?connect_timeout=2"


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (_folder, "name a file in it"),
        (_below_a_file, "folder"),
        (_unwritable, "may write to"),
        (_not_a_database, "not a SQLite file"),
        (_damaged, "restore it from a backup"),
        (_nobody_there, "start PostgreSQL"),
        (_no_such_host, "correct the host"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_store_that_cannot_be_opened(tmp_path: Path, make: object, remedy: str) -> None:
    """
    A store that cannot be opened is named, without its password, with what to do,
    and it works as soon as that is done.
    """
    assert callable(make)
    url = make(tmp_path)
    store = SqlJobStore(url, app="a")
    before = descriptors()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=remedy) as caught:
            store.create(NewJob(pipeline="p", backend="b"))
        assert "job store" in str(caught.value)
        assert url.rpartition("/")[2].partition("?")[0] in str(caught.value)
        assert "s3cret" not in str(caught.value)
    store.close()
    assert before == descriptors()


def _make_tables(url: str, schema: Schema) -> None:
    store = Database(url, schema=schema)
    store.ping()
    store.close()


def test_store_of_a_newer_release(tmp_path: Path) -> None:
    """
    Tables of a newer release are refused, not changed.
    """
    url = f"sqlite:///{tmp_path}/x.db"
    newer = Schema(component="jobs", version=SCHEMA.version + 1, tables=SCHEMA.tables)
    _make_tables(url, newer)

    store = SqlJobStore(url, app="a")
    with pytest.raises(StoreUnavailable, match="upgrade chariots-core"):
        store.ping()
    store.close()


def test_store_of_an_older_release(tmp_path: Path) -> None:
    """
    Tables of a version without a way to this one are refused with a way out.
    """
    url = f"sqlite:///{tmp_path}/x.db"
    older = Schema(component="jobs", version=SCHEMA.version - 1, tables=SCHEMA.tables)
    _make_tables(url, older)

    store = SqlJobStore(url, app="a")
    with pytest.raises(StoreUnavailable, match="new database"):
        store.ping()
    store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_additions_are_made_once_and_old_releases_go_on(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """
    Tables get the columns that a later release adds, keep their rows, and are used on by
    releases that know fewer additions, or none.
    """
    url = f"sqlite:///{tmp_path}/x.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_url")
    tables = sa.MetaData()
    sa.Table("added_things", tables, sa.Column("name", sa.String(20), primary_key=True))
    statements = [f"ALTER TABLE added_things ADD COLUMN c{n} TEXT" for n in range(3)]
    releases = [
        Schema(component="things", version=1, tables=tables, additions=tuple(statements[:n]))
        for n in (0, 1, 3, 3, 1, 0)
    ]
    columns: list[int] = []
    rows = None
    for number, release in enumerate(releases):
        store = Database(url, schema=release)
        with store.writing() as connection:
            connection.exec_driver_sql(f"INSERT INTO added_things (name) VALUES ('{number}')")
            columns.append(len(sa.inspect(connection).get_columns("added_things")))
            rows = connection.exec_driver_sql("SELECT count(*) FROM added_things").scalar()
        store.close()

    assert ([1, 2, 4, 4, 4, 4], 6) == (columns, rows)


# -- who may use it at once


def _first_use(path: str, barrier: threading.Barrier) -> None:
    store = SqlJobStore(f"sqlite:///{path}", app="a")
    barrier.wait(30.0)
    for _ in range(5):
        store.create(NewJob(pipeline="p", backend="b"))
    store.close()


def test_first_use_by_several_processes(tmp_path: Path) -> None:
    """
    Processes that start at once on a file that is not there all get their tables.
    """
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(6)
    children = [
        context.Process(target=_first_use, args=(str(tmp_path / "x.db"), barrier)) for _ in range(6)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(30.0)

    assert [0] * 6 == [child.exitcode for child in children]
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        assert [(30,)] == connection.execute("SELECT count(*) FROM chariots_jobs").fetchall()


def test_two_components(tmp_path: Path) -> None:
    """
    Stores of different kinds share a file, each with a version of its own.
    """
    jobs = SqlJobStore(f"sqlite:///{tmp_path}/x.db", app="a")
    things = database(tmp_path / "x.db")
    jobs.ping()
    put(things, "x")

    with things.reading() as connection:
        found = connection.execute(
            text("SELECT component, version FROM chariots_schema ORDER BY component")
        )
        assert [("jobs", SCHEMA.version), ("jobs+", 1), ("things", 3)] == [
            tuple(row) for row in found
        ]
    jobs.close()
    things.close()


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """
    Somebody else's transaction that writes.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def test_readers_do_not_wait(tmp_path: Path) -> None:
    """
    A reader is served while somebody writes.
    """
    store = database(tmp_path / "x.db", "?busy_timeout=0.1")
    put(store, "x")
    with _held(tmp_path / "x.db"):
        assert ["x"] == names(store)
    store.close()


def test_writer_that_hangs(tmp_path: Path) -> None:
    """
    A writer waits for another one as long as it is told to, and then says so.
    """
    store = database(tmp_path / "x.db", "?busy_timeout=0.1")
    put(store, "x")
    with (
        _held(tmp_path / "x.db"),
        pytest.raises(StoreUnavailable, match="look for one that hangs"),
    ):
        put(store, "y")
    put(store, "z")

    assert ["x", "z"] == names(store)
    store.close()


def test_writer_that_waits(tmp_path: Path) -> None:
    """
    A writer goes on as soon as the other one has ended.
    """
    store = database(tmp_path / "x.db")
    put(store, "x")
    writer = threading.Thread(target=put, args=(store, "y"))
    with _held(tmp_path / "x.db"):
        writer.start()
        wait_until(writer.is_alive)
        assert ["x"] == names(store)
    writer.join(10.0)

    assert ["x", "y"] == names(store)
    store.close()


@pytest.mark.parametrize("look", ["SELECT name FROM things", "PRAGMA table_info(things)"])
def test_reader_waits_for_who_has_the_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    """
    A look at a file that another process has for itself, as the first to open
    it does, waits for that one; also at the start of a transaction.
    """
    file = tmp_path / "x.db"
    with (
        closing(sqlite3.connect(file, isolation_level=None)) as other,
        closing(sqlite3.connect(file, timeout=0.0, factory=PatientConnection)) as mine,
    ):
        other.execute("CREATE TABLE things (name TEXT)")
        other.execute("INSERT INTO things VALUES ('x')")
        other.execute("BEGIN EXCLUSIVE")
        mine.cursor().execute("BEGIN")

        def leave_and_wait(act: Callable[[], object], patience: float) -> object:
            other.execute("ROLLBACK")
            return wait_for(act, patience)

        monkeypatch.setattr("chariots_core.sql.sqlite.wait_for", leave_and_wait)

        assert 1 == len(mine.cursor().execute(look).fetchall())
        assert not other.in_transaction


def test_error_rolls_back(tmp_path: Path) -> None:
    """
    What was written before an error is gone, and the error is the caller's own.
    """
    store = database(tmp_path / "x.db")

    def write_and_fail() -> None:
        with store.writing() as connection:
            connection.execute(text("INSERT INTO things VALUES ('x')"))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        write_and_fail()
    with store.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("INSERT INTO things VALUES ('y')")

    assert [] == names(store)
    put(store, "z")
    assert ["z"] == names(store)
    store.close()


def test_mistake_is_no_outage(tmp_path: Path) -> None:
    """
    A row that breaks a rule of its table is an error of its own, not an outage.
    """
    store = database(tmp_path / "x.db")
    put(store, "x")

    with pytest.raises(sa.exc.IntegrityError):
        put(store, "x")
    store.close()


# -- closing and forking


def test_close_leaks_nothing(tmp_path: Path) -> None:
    """
    (6) A closed handle has given back every file, also those of its threads.
    """
    before = descriptors()
    store = database(tmp_path / "x.db")
    for _ in range(3):
        threads = [threading.Thread(target=names, args=(store,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10.0)
        assert before < descriptors()
        store.close()
        store.close()
        assert before == descriptors()


def test_close_while_in_use(tmp_path: Path) -> None:
    """
    (6) A connection that was in use when the handle was closed is given back, too.
    """
    before = descriptors()
    store = database(tmp_path / "x.db")
    with store.writing() as connection:
        store.close()
        connection.execute(text("INSERT INTO things VALUES ('x')"))
    with store.cursor() as cursor:
        store.close()
        assert [("x",)] == cursor.execute("SELECT name FROM things").fetchall()

    assert before == descriptors()


def _report_files(store: Database, path: str, pipe: socket.socket) -> None:
    inherited = [name for name in open_paths() if name.startswith(path)]
    put(store, "child")
    pipe.sendall(repr(inherited).encode())


def test_no_file_is_open_in_a_fork(tmp_path: Path) -> None:
    """
    (7) A child inherits no open SQLite file: it opens its own, and the parent goes on.
    """
    store = database(tmp_path / "x.db")
    put(store, "before")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = multiprocessing.get_context("fork").Process(
            target=_report_files, args=(store, str(tmp_path), theirs)
        )
        child.start()
        child.join(30.0)
        ours.settimeout(10.0)
        assert (0, b"[]") == (child.exitcode, ours.recv(10_000))
    put(store, "parent")

    assert ["before", "child", "parent"] == names(store)
    store.close()


def test_fork_within_a_transaction(tmp_path: Path) -> None:
    """
    (7) A fork in the middle of the same thread's transaction does not hang, and
    the transaction ends as it would have.
    """
    store = database(tmp_path / "x.db")
    with store.writing() as connection:
        connection.execute(text("INSERT INTO things VALUES ('mine')"))
        child = multiprocessing.get_context("fork").Process(target=os.getpid)
        child.start()
        child.join(30.0)
        assert 0 == child.exitcode

    assert [] == [name for name in open_paths() if name.startswith(str(tmp_path))]
    assert ["mine"] == names(store)
    store.close()
