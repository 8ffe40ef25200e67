"""
A question and its answer, over one connection to Redis.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from redis import exceptions

from chariots_core import patience

#: Seconds between two questions whether something is more urgent than an answer.
_STEP: Final = 0.05


class Along:
    """
    A command that goes to a server together with another one; see `RedisServer.send_along`.

    Attributes:
        is_sent: whether it may have reached the server.
        is_answered: whether an answer came back.
        answer: the answer; an error as the exception.
    """

    def __init__(self, packed: bytes) -> None:
        self.packed: Final = packed
        self.thread: Final = threading.get_ident()
        self.is_sent = self.is_answered = False
        self.answer: Any = None


def exchange(connection: Any, arguments: tuple[Any, ...], along: Along | None = None) -> Any:
    """
    Send a command, and *along* right behind it; wait for the answer.

    Raises:
        redis.exceptions.RedisError: the server says so, is gone, or does not answer.
    """
    if along is None:
        connection.send_command(*arguments)
        return _answer(connection)
    packed = b"".join((*connection.pack_command(*arguments), along.packed))
    along.is_sent = True
    connection.send_packed_command([packed])
    answer = _or_error(lambda: _answer(connection))
    # The other is written in one go with it, and may have been read already.
    along.answer = _or_error(connection.read_response)
    along.is_answered = True
    if isinstance(answer, exceptions.ResponseError):
        raise answer
    return answer


def _or_error(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except exceptions.ResponseError as error:
        return error


def can_read(connection: Any, seconds: float = 0.0) -> bool:
    """
    Whether the server answers, or hangs up, within some *seconds*, while nothing
    is left of what was read before.
    """
    sock = connection._sock  # noqa: SLF001 - the method of that name asks the system four times
    if sock is None or hasattr(sock, "pending"):
        # What is encrypted is read ahead.
        return bool(connection.can_read(seconds))
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def is_stale(connection: Any) -> bool:
    """
    Whether the server has closed a connection that nobody used for a while.
    """
    try:
        return can_read(connection)
    except (exceptions.RedisError, OSError):
        return True


def _answer(connection: Any) -> Any:
    if patience.is_bounded():
        ends = time.monotonic() + connection.socket_timeout
        while not can_read(connection, _STEP):
            if patience.is_over() or time.monotonic() > ends:
                raise exceptions.TimeoutError("Timeout: the server was given up without an answer")
    return connection.read_response()
