"""
What a database driver says when it fails, in words that help.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from chariots_core.errors import StoreUnavailable
from chariots_core.sql.addresses import Address

#: What a driver's message contains, and what to do then.
_REMEDIES: Final = (
    ("not a database", "it is not a SQLite file: name another file, or restore this one"),
    ("malformed", "the file is damaged: restore it from a backup, or name another file"),
    ("locked", "another process has held it for too long: look for one that hangs"),
    ("readonly", "let this user write to the file and to its folder"),
    ("disk is full", "free some space on the disk"),
    ("no such table", "the file was replaced while in use: start the process anew"),
    ("password authentication", "check the user and the password in the address"),
    ("no password supplied", "write the user's password into the address, or a passfile"),
    ("does not exist", "create that database or role, or correct the address"),
    ("too many clients", "raise max_connections of the server, or start fewer processes"),
    ("refused", "start PostgreSQL there, or correct the host and the port of the address"),
    ("resolve host", "correct the host of the address"),
    ("not known", "correct the host of the address"),
    ("given up", "look whether the server hangs, or the network to it"),
    ("timeout", "check that the host of the address can be reached from here"),
)


def is_outage(error: BaseException) -> bool:
    """
    Whether *error* says that the database is out of reach or unusable, rather
    than that a statement is wrong.
    """
    if isinstance(error, DBAPIError):
        return error.orig is not None and is_outage(error.orig)
    if isinstance(error, PoolTimeout):
        return True
    if isinstance(error, sqlite3.Error):
        return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
    psycopg = sys.modules.get("psycopg")
    return psycopg is not None and isinstance(
        error, (psycopg.OperationalError, psycopg.InterfaceError)
    )


def unavailable(error: BaseException, *, address: Address, kind: str) -> StoreUnavailable:
    """
    The error to raise for an outage: it names the store and says what to do.
    """
    cause = error.orig if isinstance(error, OperationalError | DBAPIError) else error
    said = " ".join(str(cause).split()) or type(cause).__name__
    return StoreUnavailable(
        f"{kind} {address.shown!r} cannot be used: {said[:400]}; {_remedy(said, address)}"
    )


def _remedy(said: str, address: Address) -> str:
    lowered = said.lower()
    for fragment, remedy in _REMEDIES:
        if fragment in lowered:
            return remedy
    if address.dialect == "postgresql":
        return "check the address, and that the server is up"
    if Path(address.path).is_dir():
        return "this is a folder: name a file in it"
    return "name a file in a folder that this user may write to"
