"""
The transport of engines that keep their messages in queues of RabbitMQ.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import attrs

from chariots_core.errors import BrokerUnavailable
from chariots_core.queues.rabbit_consumer import RabbitConsumer
from chariots_core.queues.rabbit_link import BROKEN, Link
from chariots_core.queues.transport import Transport
from chariots_core.workers import SubmitRequest

#: The most seconds that anything is waited for.
_PATIENCE: Final = 5.0

#: What an error of RabbitMQ contains, and what to do then.
_REMEDIES: Final = (
    ("PRECONDITION_FAILED", "give the options that the queue was made with, or delete the queue"),
    ("NOT_ALLOWED", "correct the virtual host of the address, or let the user in there"),
    ("ACCESS_REFUSED", "check the user and the password in the address"),
    ("imeout", "check that it can be reached from here, and that it is not paused"),
    ("not answer", "check that it can be reached from here, and that it is not paused"),
    ("", "start it there, or correct the host and the port of the address"),
)


@attrs.frozen(kw_only=True)
class RabbitQueue:
    """
    How an engine keeps one queue in RabbitMQ.

    Attributes:
        name: the queue's name.
        queues: the queues that have to be there, this one among them, with their arguments.
        write: the body of the message of a request.
        name_of: the name of the message in a body; empty: it is none of Chariots'.
    """

    name: str
    queues: Mapping[str, Mapping[str, Any]]
    write: Callable[[SubmitRequest], bytes]
    name_of: Callable[[bytes], str]


class RabbitTransport(Transport):
    """
    Sends messages to, and takes them from, queues of RabbitMQ.

    Args:
        parameters: those of connections of pika, in the order in which they are tried.
        queue: how a queue of an app is kept; it is asked once for each.
    """

    def __init__(self, parameters: Sequence[Any], queue: Callable[[str, str], RabbitQueue]) -> None:
        self._parameters = list(parameters)
        #: A queue of an app, by the names of both.
        self.queue = cache(queue)
        # What breaks is told in words of our own, once.
        if logging.getLogger("pika").level == logging.NOTSET:
            logging.getLogger("pika").setLevel(logging.CRITICAL)
        self._pid = os.getpid()
        self._idle: list[Link] = []
        self._consumer: RabbitConsumer | None = None

    @property
    def name(self) -> str:
        """
        The address, without user and password.
        """
        return ", ".join(
            f"{one.host}:{one.port}/{one.virtual_host.removeprefix('/')}"
            for one in self._parameters
        )

    def connect(self) -> Link:
        """
        A new connection, which is the caller's alone.

        Raises:
            LinkLost: there is no server.
            TimeoutError: it does not answer.
        """
        told = [one.socket_timeout for one in self._parameters]
        seconds = min([*(one for one in told if one), _PATIENCE])
        return Link(self._parameters, seconds=seconds)

    def send(self, request: SubmitRequest) -> None:
        """
        Publish one message, and wait for RabbitMQ to confirm that it is kept.

        Raises:
            BrokerUnavailable: RabbitMQ cannot be reached, or refuses.
            TimeoutError: nobody knows whether it has the message.
        """
        queue = self.queue(request.app, request.queue)
        try:
            link = self._take(queue)
        except (TimeoutError, *BROKEN) as error:
            raise self.unavailable(str(error), request.job_id) from error
        try:
            kept = link.publish(queue.name, queue.write(request), queues=queue.queues)
        except BROKEN as error:
            link.drop()
            raise TimeoutError(f"RabbitMQ at {self.name} broke off: {error}") from error
        except BaseException:
            # An answer may be on its way, and it is nobody else's.
            link.drop()
            raise
        self._own_idle().append(link)
        if not kept:
            raise self.unavailable("it did not take the message", request.job_id)

    def consumer(self, app: str, queues: Sequence[str]) -> RabbitConsumer:
        """
        What takes messages out of some queues.
        """
        kept = [self.queue(app, name) for name in queues]
        self._consumer = RabbitConsumer(
            connect=lambda: self._declared(self.connect(), *kept),
            queues=[queue.name for queue in kept],
            # All queues of one engine have one form of messages.
            name_of=kept[0].name_of,
            unavailable=self.unavailable,
        )
        return self._consumer

    def after_fork_in_child(self) -> None:
        """
        Close this process's copies of connections, without a word to the server.
        """
        for link in self._idle:
            link.leave_to_parent()
        self._idle = []
        if self._consumer is not None:
            self._consumer.after_fork_in_child()

    def close(self) -> None:
        """
        Give back connections. Idempotent.
        """
        idle, self._idle = self._own_idle(), []
        for link in idle:
            link.close()

    def unavailable(self, what: str, job_id: str | None = None) -> BrokerUnavailable:
        """
        The error that says that RabbitMQ is of no use, and what to do.
        """
        remedy = next(told for sign, told in _REMEDIES if sign in what)
        return BrokerUnavailable(
            f"RabbitMQ at {self.name} cannot be used: {what}; {remedy}", job_id=job_id
        )

    def _take(self, queue: RabbitQueue) -> Link:
        while idle := self._own_idle():
            link = idle.pop()
            try:
                # What the server has said meanwhile: that it goes, say.
                link.turn(4)
            except BROKEN:
                link.drop()
            else:
                return self._declared(link, queue)
        return self._declared(self.connect(), queue)

    @staticmethod
    def _declared(link: Link, *queues: RabbitQueue) -> Link:
        try:
            for queue in queues:
                link.declare(queue.queues)
        except BaseException:
            link.drop()
            raise
        return link

    def _own_idle(self) -> list[Link]:
        # What a parent had open stays the parent's.
        if self._pid != os.getpid():
            for link in self._idle:
                link.leave_to_parent()
            self._pid, self._idle = os.getpid(), []
        return self._idle
