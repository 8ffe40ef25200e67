"""
How PostgreSQL is opened, and how a connection that the server has left is told.
"""

from __future__ import annotations

import select
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

from chariots_core.sql.addresses import Address


def postgresql_engine(address: Address) -> Engine:
    """
    An engine on a server.
    """
    patience = {} if "connect_timeout" in address.url.query else {"connect_timeout": 5}
    engine = sa.create_engine(address.url, pool_use_lifo=True, connect_args=patience)

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, args: Any, options: Any) -> Any:
        # Only where a server is used: psycopg is an extra.
        from chariots_core.sql.psycopg_patience import PatientConnection

        return PatientConnection.connect(*args, **options)

    @event.listens_for(engine, "checkout")
    def refuse_dead(connection: Any, _record: object, _proxy: object) -> None:
        if _has_been_left(connection):
            raise InvalidatePoolError("the server has closed the connection")

    return engine


def _has_been_left(connection: Any) -> bool:
    """
    Whether the server has closed an idle connection: then there is something to
    read from it. To look costs microseconds, to ask the server a round trip.
    """
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def leave_clean(connection: Any) -> None:
    """
    Make the next user begin transactions again.
    """
    connection.autocommit = False
