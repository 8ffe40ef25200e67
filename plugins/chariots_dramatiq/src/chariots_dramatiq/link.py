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
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import pika
from dramatiq.brokers.rabbitmq import DEAD_MESSAGE_TTL
from dramatiq.common import dq_name, xq_name
from pika.adapters.select_connection import IOLoop
from pika.exceptions import AMQPError

from chariots_core import patience

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
        max_priority: that of the queues.

    Raises:
        LinkLost: there is no server.
        TimeoutError: it does not answer.
    """

    def __init__(
        self,
        parameters: Sequence[pika.connection.Parameters],
        *,
        seconds: float,
        max_priority: int | None,
    ) -> None:
        self.seconds = seconds
        self.deliveries: deque[tuple[int, bytes]] = deque()
        self._arguments = {} if max_priority is None else {"x-max-priority": max_priority}
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

    def declare(self, queue: str) -> None:
        """
        See that a queue is there, as Dramatiq itself declares it.
        """
        if queue in self._declared:
            return
        dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": xq_name(queue)}
        arguments = {
            queue: dead | self._arguments,
            dq_name(queue): dead | self._arguments,
            xq_name(queue): {"x-message-ttl": DEAD_MESSAGE_TTL},
        }
        for name, told in arguments.items():
            self._ask(self._channel.queue_declare, name, durable=True, arguments=told)
        self._declared.add(queue)

    def publish(self, queue: str, body: bytes, *, priority: int | None = None) -> bool:
        """
        Send one message, and wait until the server has it on its disk.

        Returns:
            Whether it has; ``False``: it says that it has not.

        Raises:
            LinkLost: the connection broke; it may have the message.
            TimeoutError: it did not answer; likewise.
        """
        for _ in range(2):
            self.declare(queue)
            self._unsettled, self._returned, self._refused = True, False, False
            self._channel.basic_publish(
                "",
                queue,
                body,
                pika.BasicProperties(delivery_mode=2, priority=priority),
                mandatory=True,
            )
            self._until(lambda: not self._unsettled)
            if not self._returned:
                return not self._refused
            # Somebody has deleted the queue.
            self._declared.discard(queue)
        return False

    def consume(self, queues: Sequence[str]) -> None:
        """
        Ask for the messages of some queues, one at a time in all.
        """
        shared = len(queues) > 1
        self._ask(self._channel.basic_qos, prefetch_count=1, global_qos=shared)
        for queue in queues:
            self.declare(queue)
            self._ask(self._channel.basic_consume, queue, self._deliver)

    def settle(self, tag: int, *, back: bool) -> None:
        """
        Acknowledge a message, or give it back.
        """
        self._check()
        if back:
            self._channel.basic_nack(tag, requeue=True)
        else:
            self._channel.basic_ack(tag)
        self.turn()

    def close(self) -> None:
        """
        Take leave, which gives back what was delivered and not settled.
        """
        with suppress(LinkLost, AMQPError):
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

    def _ask(self, ask: Callable[..., object], *arguments: Any, **options: Any) -> None:
        answers: list[Any] = []
        ask(*arguments, **options, callback=answers.append)
        self._until(lambda: answers)

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
