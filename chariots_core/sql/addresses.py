"""
The address of a database: read, completed, and shown without its secrets.
"""

from __future__ import annotations

import importlib.util
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import attrs
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from chariots_core.errors import ConfigurationError

_FORMS: Final = "sqlite:///relative.db, sqlite:////absolute.db or postgresql://user@host/database"
_DRIVERS: Final = MappingProxyType(
    {
        "sqlite": "sqlite+pysqlite",
        "sqlite+pysqlite": "sqlite+pysqlite",
        "postgres": "postgresql+psycopg",
        "postgresql": "postgresql+psycopg",
        "postgresql+psycopg": "postgresql+psycopg",
    }
)
#: The first that returns the rows which a statement has changed.
_OLDEST_SQLITE: Final = (3, 35, 0)
_SYNCHRONOUS: Final = ("off", "normal", "full", "extra")
_OWN_OPTIONS: Final = ("synchronous", "busy_timeout")
_SECRET_OPTIONS: Final = frozenset({"password", "sslpassword", "passfile"})


@attrs.frozen(kw_only=True)
class Address:
    """
    Where a database is and how it is opened.

    Attributes:
        url: for SQLAlchemy; a SQLite file has its absolute path, so that a
            later change of folder does not change the store.
        shown: as text, without secrets.
        synchronous: SQLite's setting of that name.
        busy_timeout: seconds that SQLite waits for another writer.
    """

    url: URL = attrs.field(repr=False)
    shown: str
    synchronous: str = "normal"
    busy_timeout: float = 30.0

    @property
    def dialect(self) -> str:
        """
        ``"sqlite"`` or ``"postgresql"``.
        """
        return self.url.get_backend_name()

    @property
    def path(self) -> str:
        """
        The file of a SQLite database.
        """
        return str(self.url.database)


def read_address(text: str, *, kind: str) -> Address:
    """
    Read the address of a database.

    Raises:
        ConfigurationError: it is not one, or cannot work.
    """
    url = _understood(text, kind)
    if url.get_backend_name() == "sqlite":
        return _sqlite_address(url, kind)
    if importlib.util.find_spec("psycopg") is None:
        raise ConfigurationError(
            f"the {kind} {_shown(url)!r} needs psycopg: pip install 'chariots-core[postgres]'"
        )
    return Address(url=url, shown=_shown(url))


def is_address(text: str) -> bool:
    """
    Whether *text* is the address of a database that processes can share, whatever
    is installed here to reach it.
    """
    try:
        url = _understood(text, "store")
        if url.get_backend_name() == "sqlite":
            _sqlite_address(url, "store")
    except ConfigurationError:
        return False
    return True


def _understood(text: str, kind: str) -> URL:
    try:
        url = make_url(text)
        driver = _DRIVERS[url.drivername]
    except (ArgumentError, KeyError, ValueError, TypeError, AttributeError):
        raise ConfigurationError(
            f"the address of the {kind} cannot be understood: write {_FORMS}"
        ) from None
    return url.set(drivername=driver)


def _sqlite_address(url: URL, kind: str) -> Address:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise ConfigurationError(
            f"the {kind} {_shown(url)!r} needs SQLite {'.'.join(map(str, _OLDEST_SQLITE))} or newer, "
            f"and this Python has {sqlite3.sqlite_version}: use a newer Python, or PostgreSQL"
        )
    if url.database in (None, "", ":memory:") or str(url.database).startswith("file:"):
        raise ConfigurationError(
            f"the {kind} needs a file that several processes can open, "
            f"not {_shown(url)!r}: write sqlite:///path/to/file.db"
        )
    options = {name: url.query[name] for name in _OWN_OPTIONS if name in url.query}
    plain = url.difference_update_query(_OWN_OPTIONS).set(
        database=str(Path(str(url.database)).absolute())
    )
    return Address(
        url=plain,
        shown=_shown(plain),
        synchronous=_synchronous(options, kind),
        busy_timeout=_busy_timeout(options, kind),
    )


def _synchronous(options: Mapping[str, object], kind: str) -> str:
    value = str(options.get("synchronous", "normal")).lower()
    if value not in _SYNCHRONOUS:
        raise ConfigurationError(
            f"option synchronous={value!r} of the {kind}: write one of {', '.join(_SYNCHRONOUS)}"
        )
    return value


def _busy_timeout(options: Mapping[str, object], kind: str) -> float:
    value = options.get("busy_timeout", "30")
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 86_400:
        raise ConfigurationError(
            f"option busy_timeout={value!r} of the {kind}: write a number of seconds"
        )
    return seconds


def _shown(url: URL) -> str:
    secret = [name for name in url.query if name.lower() in _SECRET_OPTIONS]
    kept = url.difference_update_query(secret).set(drivername=url.get_backend_name())
    return kept.render_as_string(hide_password=True)
