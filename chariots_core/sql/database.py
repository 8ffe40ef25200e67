"""
A handle on one database: lazy, shared by threads, safe over forks.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import sqlalchemy as sa
from sqlalchemy import Connection, Engine, MetaData, PoolProxiedConnection

from chariots_core.errors import StoreUnavailable
from chariots_core.sql import forks, postgresql, sqlite
from chariots_core.sql.addresses import Address, read_address
from chariots_core.sql.failures import is_outage, unavailable

#: The clock of each kind of database: seconds since 1970, as an SQL expression.
CLOCKS: Final = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "(extract(epoch from clock_timestamp())::double precision)",
}

_SCHEMA_LOCK: Final = 0x63686172696F7473
_FORK_PATIENCE: Final = 5.0

_versions: Final = sa.Table(
    "chariots_schema",
    MetaData(),
    sa.Column("component", sa.String(100), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)


@attrs.frozen(kw_only=True)
class Schema:
    """
    The tables that a store needs.

    Attributes:
        component: whose tables they are; several may share a database.
        version: raised with every change that an earlier release cannot live with.
        tables: their definitions.
        additions: statements that add to the tables of this version what later releases
            need, on SQLite and PostgreSQL. Each runs once, with the creation of tables
            that are missing. Releases that do not know them go on beside them.
    """

    component: str
    version: int
    tables: MetaData
    additions: Sequence[str] = ()

    @property
    def counter(self) -> str:
        """
        The component under which the number of additions is kept.
        """
        return f"{self.component}+"


@attrs.frozen
class _Opened:
    """
    What one process holds of a database.
    """

    pid: int
    engine: Engine
    writing: Engine


class Database:
    """
    A handle on one SQLite file or PostgreSQL database.

    Making it does no input or output. It connects at its first use, in each
    process anew: a handle made before a fork works in every child.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or
            ``postgresql://user@host/name``. SQLite knows two options:
            ``?synchronous=full`` (a power cut loses no commit) and
            ``?busy_timeout=30`` (seconds to wait for another writer).
        kind: what messages call it, e.g. ``"job store"``.
        schema: the tables to create where they are missing.

    Raises:
        ConfigurationError: the address itself cannot work.
    """

    def __init__(self, url: str, *, kind: str = "store", schema: Schema | None = None) -> None:
        self.kind = kind
        self._address: Address = read_address(url, kind=kind)
        self._schema = schema
        self._lock = threading.RLock()
        self._mine = threading.local()
        self._opened: _Opened | None = None
        forks.watch(self)

    @property
    def dialect(self) -> str:
        """
        ``"sqlite"`` or ``"postgresql"``.
        """
        return self._address.dialect

    @property
    def name(self) -> str:
        """
        The address, without its password.
        """
        return self._address.shown

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    # -- use

    @property
    def engine(self) -> Engine:
        """
        The engine of this process; connected to and with its tables.
        """
        with self._using() as opened:
            return opened.engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """
        A connection in a transaction that reads; on SQLite it waits for no writer.

        Raises:
            StoreUnavailable: the database cannot be opened or reached.
        """
        with self._using() as opened, opened.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """
        A connection in a transaction that writes; an exception rolls it back.

        On SQLite it holds the one write lock from its beginning.

        Raises:
            StoreUnavailable: the database cannot be opened or reached.
        """
        with self._using() as opened, opened.writing.begin() as connection:
            yield connection

    @contextmanager
    def cursor(self) -> Iterator[Any]:
        """
        A bare cursor of the driver, each statement its own transaction: the quick way.

        On SQLite a caller may execute ``BEGIN IMMEDIATE`` and ``COMMIT``
        through it; what is left open when the block ends is rolled back.

        Raises:
            StoreUnavailable: the database cannot be opened or reached.
        """
        with self._using() as opened:
            proxied = opened.engine.raw_connection()
            connection: Any = proxied.driver_connection
            try:
                if self.dialect == "postgresql":
                    connection.autocommit = True
                yield (cursor := connection.cursor())
                cursor.close()
            finally:
                self._give_back(proxied, connection)

    def _give_back(self, proxied: PoolProxiedConnection, connection: Any) -> None:
        leave_clean = (postgresql if self.dialect == "postgresql" else sqlite).leave_clean
        try:
            leave_clean(connection)
        except Exception:  # noqa: BLE001 - whatever it is, nobody else shall have it
            proxied.invalidate()
        proxied.close()

    def ping(self) -> None:
        """
        Return if the database answers.

        Raises:
            StoreUnavailable: it does not.
        """
        with self.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchall()

    def close(self) -> None:
        """
        Give back every connection. Idempotent; a later use connects anew.
        """
        with self._lock:
            opened, self._opened = self._opened, None
            if opened is not None and opened.pid == os.getpid():
                opened.engine.dispose()

    # -- opening

    def _open(self) -> _Opened:
        opened = self._opened
        if opened is not None and opened.pid == os.getpid():
            return opened
        if self.dialect == "sqlite":
            with self._lock:  # no fork while a file is being opened
                return self._own() or self._keep(self._connect())
        # A server that does not answer makes each thread wait, but none for another.
        return self._keep(self._connect())

    def _own(self) -> _Opened | None:
        if self._opened is not None and self._opened.pid != os.getpid():
            forks.keep_for_ever(self._opened)
            self._opened = None
        return self._opened

    def _keep(self, opened: _Opened) -> _Opened:
        with self._lock:
            if (first := self._own()) is None:
                self._opened = opened
                return opened
        opened.engine.dispose()
        return first

    def _connect(self) -> _Opened:
        if self.dialect == "sqlite":
            self._make_folder()
            engine = sqlite.sqlite_engine(self._address)
        else:
            engine = postgresql.postgresql_engine(self._address)
        writing = engine.execution_options(chariots_writes=True)
        try:
            if self._schema is not None:
                _create_tables(engine, writing, self._schema, f"{self.kind} {self.name!r}")
        except BaseException:
            engine.dispose()
            raise
        return _Opened(os.getpid(), engine, writing)

    def _make_folder(self) -> None:
        try:
            Path(self._address.path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unavailable(error, address=self._address, kind=self.kind) from error

    @contextmanager
    def _using(self) -> Iterator[_Opened]:
        mine = self._mine
        depth: int = getattr(mine, "depth", 0)
        if depth == 0:
            with self._lock:  # a fork under way in another thread goes first
                mine.depth = 1
        else:
            mine.depth = depth + 1
        try:
            opened = self._open()
            pool = opened.engine.pool
            try:
                yield opened
            finally:
                if opened.engine.pool is not pool:  # closed meanwhile: this one came too late
                    pool.dispose()
        except Exception as error:
            if not is_outage(error):
                raise
            raise unavailable(error, address=self._address, kind=self.kind) from error
        finally:
            mine.depth = depth

    # -- forks

    def before_fork(self) -> None:
        self._lock.acquire()
        if self._opened is None or self.dialect != "sqlite":
            return
        pool: Any = self._opened.engine.pool
        deadline = time.monotonic() + _FORK_PATIENCE
        while pool.checkedout() > getattr(self._mine, "depth", 0):
            if time.monotonic() > deadline:
                break
            time.sleep(0.001)
        self._opened.engine.dispose()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.RLock()
        self._mine = threading.local()
        self._own()


def _create_tables(engine: Engine, writing: Engine, schema: Schema, what: str) -> None:
    with engine.begin() as connection:
        if _missing_additions(connection, schema, what) == 0:
            return
    with writing.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
        missing = _missing_additions(connection, schema, what)
        if missing == 0:
            return
        rows = {schema.counter: len(schema.additions)} if schema.additions else {}
        if missing is None:
            _versions.create(connection, checkfirst=True)
            rows[schema.component] = schema.version
        else:
            for statement in schema.additions[-missing:]:
                connection.exec_driver_sql(statement)
        schema.tables.create_all(connection)
        connection.execute(_versions.delete().where(_versions.c.component.in_(list(rows))))
        for component, version in rows.items():
            connection.execute(_versions.insert().values(component=component, version=version))


def _missing_additions(connection: Connection, schema: Schema, what: str) -> int | None:
    """
    Return how many additions the tables lack; ``None``: there are no tables.

    Raises:
        StoreUnavailable: the tables are of another version.
    """
    if not sa.inspect(connection).has_table(_versions.name):
        return None
    rows = connection.execute(
        sa.select(_versions).where(_versions.c.component.in_([schema.component, schema.counter]))
    )
    found: dict[str, int] = {row.component: row.version for row in rows}
    version = found.get(schema.component)
    if version is None:
        return None
    if version == schema.version:
        # a later release may have made more of them
        return max(0, len(schema.additions) - found.get(schema.counter, 0))
    remedy = (
        "upgrade chariots-core on this machine"
        if version > schema.version
        else "it is from an older release: start with a new database"
    )
    raise StoreUnavailable(
        f"{what} has tables of version {version} for {schema.component!r}, "
        f"and this release knows version {schema.version}: {remedy}"
    )
