"""
Connections to PostgreSQL that do not wait for ever.

A server that is frozen, or behind a network that swallows packets, acknowledges
what it gets and answers nothing: no setting of the connection tells that from a
slow query. So the waiting itself is bounded here. It needs psycopg, so it is
imported late.
"""

from __future__ import annotations

import select
import time
from collections.abc import Generator
from typing import Any, Final, TypeVar

import psycopg
from psycopg.waiting import Ready, Wait

from chariots_core import patience

R = TypeVar("R")

#: Seconds of silence after which a server is given up.
_LONGEST: Final = 30.0
#: Milliseconds between two questions whether something is more urgent.
_STEP: Final = 100


class ServerSilent(psycopg.OperationalError):
    """
    The server has not answered, and is waited for no longer.
    """


class PatientConnection(psycopg.Connection[Any]):
    """
    A connection that gives a silent server up, and is closed by that.
    """

    def wait(self, gen: Generator[Any, Any, R], *args: Any, **options: Any) -> R:
        if args or options:
            return super().wait(gen, *args, **options)
        try:
            return _drive(gen, self.pgconn.socket)
        except (ServerSilent, KeyboardInterrupt, SystemExit):
            # An answer that comes late must not be taken for another's.
            self.close()
            raise

    @classmethod
    def _connect_gen(cls, *args: Any, **options: Any) -> Generator[Any, Any, Any]:
        # psycopg's own affair: where it goes by another name, only connect_timeout is left.
        return _patiently(super()._connect_gen(*args, **options))


class _Silence:
    """
    How long a server has been waited for.
    """

    def __init__(self) -> None:
        self._since = time.monotonic()

    def note(self, ready: int) -> None:
        """
        The server has given a sign of life, or gave none for another moment.

        Raises:
            ServerSilent: it is waited for no longer.
        """
        now = time.monotonic()
        if ready:
            self._since = now
        elif now - self._since > _LONGEST or patience.is_over():
            waited = now - self._since
            raise ServerSilent(f"it was given up after {waited:.1f} s without an answer")


def _drive(gen: Generator[Any, Any, R], fd: int) -> R:
    """
    Do what *gen* does with the connection whose socket is *fd*.

    Not by psycopg's own loop, some of which tell nobody that time goes by.
    """
    silence = _Silence()
    poller = select.poll()
    try:
        wanted = next(gen)
        poller.register(fd, _events(wanted))
        while True:
            ready = _ready(poller.poll(_STEP), wanted)
            silence.note(ready)
            now_wanted = gen.send(ready)
            if ready and now_wanted != wanted:
                wanted = now_wanted
                poller.modify(fd, _events(wanted))
    except StopIteration as end:
        result: R = end.value
        return result


def _events(wanted: int) -> int:
    return (select.POLLIN if wanted & Wait.R else 0) | (select.POLLOUT if wanted & Wait.W else 0)


def _ready(found: list[tuple[int, int]], wanted: int) -> int:
    if not found:
        return 0
    events = found[0][1]
    ready = (Ready.R if events & select.POLLIN else 0) | (Ready.W if events & select.POLLOUT else 0)
    # An error is met by whatever is tried next.
    return ready or int(wanted)


def _patiently(gen: Generator[Any, Any, R]) -> Generator[Any, Any, R]:
    """
    What *gen* does to connect, by psycopg's loop: it resumes *gen* with
    nothing, too, every tenth of a second.
    """
    silence = _Silence()
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            silence.note(ready)
            wanted = gen.send(ready)
    except StopIteration as end:
        result: R = end.value
        return result
