"""
A connection to RabbitMQ that is driven by whoever uses it: no thread, and no wait without an end.

Pika's blocking connection waits for a confirmation for as long as it takes; a
worker that does so renews no lease meanwhile.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from chariots_core import patience

try:
    import pika
    from pika.adapters.select_connection import IOLoop
    from pika.exceptions import AMQPError
except ImportError as missing:
    raise ImportError(
        "a queue in RabbitMQ needs the pika package: pip install 'chariots-core[rabbitmq]'"
    ) from missing

#: Seconds between two questions whether something is more urgent than an answer.
_STEP: Final = 0.05

#: Seconds for which a polite end is waited for.
_FAREWELL: Final = 1.0

#: Links of a parent, which a forked child does not use and must not close.
_LEFT: Final[list[Link]] = []


class LinkLost(Exception):
    """
    There is no connection, or none any more.
    """


#: What a connection that is gone, or of no use, raises.
BROKEN: Final = (LinkLost, AMQPError)


class _Loop(IOLoop):  # type: ignore[misc]  # pika ships no types
    """
    Pika's loop, which tells the numbers of its sockets.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fds: set[int] = set()
        self.activate_poller()

    def add_handler(self, fd: int, handler: Callable[..., None], events: int) -> None:
        """
        Watch a socket.
        """
        self.fds.add(fd)
        super().add_handler(fd, handler, events)

    def remove_handler(self, fd: int) -> None:
        """
        Watch it no longer.
        """
        self.fds.discard(fd)
        super().remove_handler(fd)

    def turn(self, seconds: float) -> None:
        """
        Do what is to be done, once something is, or after some *seconds*.
        """
        timer = self.call_later(seconds, lambda: None)
        self.poll()
        self.process_timeouts()
        self.remove_timeout(timer)


class Link:
    """
    One connection with one channel, in confirm mode.

    Args:
        parameters: those of pika, in the order in which they are tried.
        seconds: how long anything is waited for.

    Raises:
        LinkLost: there is no server.
        TimeoutError: it does not answer.
    """

    def __init__(self, parameters: Sequence[pika.connection.Parameters], *, seconds: float) -> None:
        self.seconds = seconds
        self.deliveries: deque[tuple[int, bytes]] = deque()
        self.consumers: list[Any] = []
        self._loop = _Loop()
        self._opened: list[Any] = []
        self._connection: Any = None
        self._channel: Any = None
        self._error: BaseException | None = None
        self._declared: set[str] = set()
        # Of the one message that is published at a time.
        self._unsettled = self._returned = self._refused = False
        try:
            self._open(parameters)
        except BaseException:
            self.drop()
            raise

    @property
    def fds(self) -> list[int]:
        """
        What can be read when the server has said something.
        """
        return list(self._loop.fds)

    def turn(self, times: int = 1) -> None:
        """
        Read and write what can be, and wait for nothing.

        Args:
            times: pika needs some to tell that the connection is gone.

        Raises:
            LinkLost: the server has closed the connection or the channel.
        """
        for _ in range(times):
            self._loop.turn(0.0)
        self._check()

    def declare(self, queues: Mapping[str, Mapping[str, Any]]) -> None:
        """
        See that durable queues are there, each with its arguments.
        """
        for name, arguments in queues.items():
            if name not in self._declared:
                self._ask(
                    self._channel.queue_declare, name, durable=True, arguments=dict(arguments)
                )
                self._declared.add(name)

    def publish(self, queue: str, body: bytes, *, queues: Mapping[str, Mapping[str, Any]]) -> bool:
        """
        Send one message, and wait until the server has it on its disk.

        Args:
            queue: the queue's name.
            body: the message.
            queues: what `declare` is told where the queue is not there.

        Returns:
            Whether it has; ``False``: it says that it has not.

        Raises:
            LinkLost: the connection broke; it may have the message.
            TimeoutError: it did not answer; likewise.
        """
        for _ in range(2):
            self.declare(queues)
            self._unsettled, self._returned, self._refused = True, False, False
            durable = pika.BasicProperties(delivery_mode=2)
            self._channel.basic_publish("", queue, body, durable, mandatory=True)
            self._until(lambda: not self._unsettled)
            if not self._returned:
                return not self._refused
            # Somebody has deleted the queue.
            self._declared -= set(queues)
        return False

    def consume(self, queues: Sequence[str], *, prefetch: int) -> None:
        """
        Ask for the messages of some queues: as many in all as are not settled.
        """
        self._ask(self._channel.basic_qos, prefetch_count=prefetch, global_qos=len(queues) > 1)
        for queue in queues:
            self.consumers.append(self._ask(self._channel.basic_consume, queue, self._deliver))

    def rest(self) -> None:
        """
        Ask for no more messages, and give back those that wait here.
        """
        while self.consumers:
            self._ask(self._channel.basic_cancel, self.consumers.pop().method.consumer_tag)
        while self.deliveries:
            self._channel.basic_nack(self.deliveries.pop()[0], requeue=True)
        self.turn()

    def settle(self, tag: int, *, back: bool) -> None:
        """
        Give a message back; or acknowledge it, and all that came before it.
        """
        self._check()
        if back:
            self._channel.basic_nack(tag, requeue=True)
        else:
            self._channel.basic_ack(tag, multiple=True)
        self.turn()

    def close(self) -> None:
        """
        Take leave, which gives back what was delivered and not settled.
        """
        with suppress(*BROKEN):
            self._check()
            self._connection.close()
            self._turn_until_closed()
        self.drop()

    def drop(self) -> None:
        """
        Close the connection without a word.
        """
        self._error = self._error or LinkLost("it was closed")
        # Pika closes its socket itself as it notices.
        self._turn_until_closed(hang_up=True)
        self._loop.close()

    def leave_to_parent(self) -> None:
        """
        Close a forked child's copies of the sockets, which the parent goes on using.
        """
        self._error = LinkLost("it is another process's")
        # Pika would close its numbers as its objects go, whoever's they are by then.
        nowhere = os.open(os.devnull, os.O_RDWR)
        for fd in self._loop.fds:
            os.dup2(nowhere, fd)
        os.close(nowhere)
        _LEFT.append(self)

    # -- inside

    def _open(self, parameters: Sequence[pika.connection.Parameters]) -> None:
        pika.SelectConnection.create_connection(parameters, self._opened.append, self._loop)
        self._wait(lambda: self._opened, self.seconds)
        made = self._opened[0]
        if isinstance(made, BaseException):
            raise LinkLost(_said(made)) from made
        self._connection = made
        self._connection.add_on_close_callback(self._closed)
        opened: list[Any] = []
        self._channel = self._connection.channel(on_open_callback=opened.append)
        self._until(lambda: opened)
        self._channel.add_on_close_callback(self._closed)
        self._channel.add_on_cancel_callback(self._cancelled)
        self._channel.add_on_return_callback(self._give_back)
        self._ask(self._channel.confirm_delivery, self._settled)

    def _ask(self, ask: Callable[..., object], *arguments: Any, **options: Any) -> Any:
        answers: list[Any] = []
        ask(*arguments, **options, callback=answers.append)
        self._until(lambda: answers)
        return answers[0]

    def _until(self, done: Callable[[], object]) -> None:
        self._wait(done, self.seconds)
        self._check()

    def _wait(self, done: Callable[[], object], seconds: float) -> None:
        ends = time.monotonic() + seconds
        while not done() and self._error is None:
            left = ends - time.monotonic()
            if left <= 0 or patience.is_over():
                raise TimeoutError("RabbitMQ does not answer")
            self._loop.turn(min(left, _STEP) if patience.is_bounded() else left)

    def _check(self) -> None:
        if self._error is not None:
            raise LinkLost(_said(self._error)) from self._error

    def _closed(self, _which: Any, error: BaseException) -> None:
        self._error = self._error or error

    def _cancelled(self, _frame: Any) -> None:
        self._closed(None, LinkLost("the queue was deleted"))

    def _deliver(self, _channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        self.deliveries.append((method.delivery_tag, body))

    def _give_back(self, *_told: Any) -> None:
        self._returned = True

    def _settled(self, frame: Any) -> None:
        self._unsettled = False
        self._refused = isinstance(frame.method, pika.spec.Basic.Nack)

    def _turn_until_closed(self, *, hang_up: bool = False) -> None:
        ends = time.monotonic() + _FAREWELL
        while not self._is_closed() and time.monotonic() < ends:
            for fd in self._loop.fds if hang_up else ():
                _hang_up(fd)
            self._loop.turn(_STEP)

    def _is_closed(self) -> bool:
        if self._connection is None:
            return bool(self._opened)
        return bool(self._connection.is_closed)


def _hang_up(fd: int) -> None:
    # By a copy: the socket itself is pika's.
    with suppress(OSError), socket.socket(fileno=os.dup(fd)) as copied:
        copied.shutdown(socket.SHUT_RDWR)


def _said(error: BaseException) -> str:
    """
    What an error of pika says, which shows the address of the server but no secret.
    """
    found = [error]
    inner = getattr(error, "exceptions", None)
    while inner:
        found.append(inner[-1])
        inner = getattr(inner[-1], "exceptions", None) or getattr(inner[-1], "exception", None)
        inner = [inner] if isinstance(inner, BaseException) else inner
    last = found[-1]
    return f"{type(last).__name__}: {last}" if str(last) else type(last).__name__
