"""
Dramatiq's queues in RabbitMQ: sending, and taking.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from pika.exceptions import AMQPError

from chariots_core.errors import BrokerUnavailable
from chariots_core.queues import Message, Transport
from chariots_core.workers import SubmitRequest
from chariots_dramatiq.link import Link, LinkLost
from chariots_dramatiq.messages import encoded, name_of, queue_name

if TYPE_CHECKING:
    from chariots_core.workers import WorkerSession

_log = logging.getLogger(__name__)

#: The most seconds that anything is waited for.
_PATIENCE: Final = 5.0

#: The least and the most seconds between two tries to reach a server.
_RETRY: Final = (0.2, 5.0)

#: What an error of RabbitMQ contains, and what to do then.
_REMEDIES: Final = (
    ("PRECONDITION_FAILED", "give the 'max_priority' that the queue has, or delete the queue"),
    ("NOT_ALLOWED", "correct the virtual host of the address, or let the user in there"),
    ("ACCESS_REFUSED", "check the user and the password in the address"),
    ("imeout", "check that it can be reached from here, and that it is not paused"),
    ("not answer", "check that it can be reached from here, and that it is not paused"),
    ("", "start it there, or correct the host and the port of the address"),
)


class RabbitTransport(Transport):
    """
    Sends messages to, and takes them from, queues that Dramatiq declares.

    Args:
        broker: a broker of Dramatiq; its settings are used, its connections are not.
    """

    def __init__(self, broker: Any) -> None:
        parameters = broker.parameters
        self._parameters = parameters if isinstance(parameters, list) else [parameters]
        self._max_priority: int | None = broker.max_priority
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
        return Link(self._parameters, seconds=seconds, max_priority=self._max_priority)

    def send(self, request: SubmitRequest) -> None:
        """
        Publish one message, and wait for RabbitMQ to confirm that it is kept.

        Raises:
            BrokerUnavailable: RabbitMQ cannot be reached, or refuses.
            TimeoutError: nobody knows whether it has the message.
        """
        queue = queue_name(request.app, request.queue)
        try:
            link = self._take(queue)
        except (LinkLost, TimeoutError, AMQPError) as error:
            raise self._unavailable(str(error), request) from error
        priority = None if self._max_priority is None else request.priority
        try:
            kept = link.publish(queue, encoded(request), priority=priority)
        except (LinkLost, AMQPError) as error:
            link.drop()
            raise TimeoutError(f"RabbitMQ at {self.name} broke off: {error}") from error
        except BaseException:
            # An answer may be on its way, and it is nobody else's.
            link.drop()
            raise
        self._own_idle().append(link)
        if not kept:
            raise self._unavailable("it did not take the message", request)

    def consumer(self, app: str, queues: Sequence[str]) -> RabbitConsumer:
        """
        What takes messages out of some queues.
        """
        self._consumer = RabbitConsumer(self, [queue_name(app, queue) for queue in queues])
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

    def _unavailable(self, what: str, request: SubmitRequest) -> BrokerUnavailable:
        remedy = next((told for sign, told in _REMEDIES if sign in what), _REMEDIES[-1][1])
        return BrokerUnavailable(
            f"RabbitMQ at {self.name} cannot be used: {what}; {remedy}", job_id=request.job_id
        )

    def _take(self, queue: str) -> Link:
        while idle := self._own_idle():
            link = idle.pop()
            try:
                # What the server has said meanwhile: that it goes, say.
                link.turn(4)
            except (LinkLost, AMQPError):
                link.drop()
            else:
                return self._declared(link, queue)
        return self._declared(self.connect(), queue)

    @staticmethod
    def _declared(link: Link, queue: str) -> Link:
        try:
            link.declare(queue)
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


class RabbitConsumer:
    """
    Takes one message at a time. A context manager.

    A message is acknowledged once its job has been run. A job that takes long
    outlives the connection, which nobody serves meanwhile, or RabbitMQ's
    patience; its message then goes to another worker, which finds that the job
    runs, and drops it.

    Args:
        transport: where the connection comes from.
        queues: the names of the queues.
    """

    def __init__(self, transport: RabbitTransport, queues: Sequence[str]) -> None:
        self._transport = transport
        self._queues = queues
        self._link: Link | None = None
        self._failures = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._link is not None:
            self._link.close()
        self._link = None

    def take(self, session: WorkerSession, seconds: float = 1.0) -> Message | None:
        """
        The next message; ``None`` if none came for some *seconds*, if the worker
        is to stop, or if the server is out of reach, which is waited for.
        """
        try:
            link = self._link = self._link or self._connect()
            if not link.deliveries:
                session.wait(seconds, *link.fds)
                link.turn()
        except (LinkLost, TimeoutError, AMQPError) as error:
            self._pause(session, error)
            return None
        if self._failures:
            _log.warning("messages can be taken again")
            self._failures = 0
        if not link.deliveries:
            return None
        tag, body = link.deliveries.popleft()
        return Message(name_of(body), "", (link, tag))

    def put_back(self, message: Message) -> None:
        """
        Give a message back to its queue.
        """
        self._settle(message, back=True)

    def drop(self, message: Message) -> None:
        """
        Acknowledge a message that is done with.
        """
        self._settle(message, back=False)

    def after_fork_in_child(self) -> None:
        """
        Close a child's copy of the connection, without a word to the server.
        """
        if self._link is not None:
            self._link.leave_to_parent()
            self._link = None

    def _connect(self) -> Link:
        link = self._transport.connect()
        try:
            link.consume(self._queues)
        except BaseException:
            link.drop()
            raise
        return link

    def _settle(self, message: Message, *, back: bool) -> None:
        link, tag = message.tag
        # A connection that is gone has given the message back by itself.
        with suppress(LinkLost, AMQPError):
            link.settle(tag, back=back)

    def _pause(self, session: WorkerSession, error: Exception) -> None:
        # Not said of a connection that broke while nobody served it: the next try works.
        if self._link is None:
            if not self._failures:
                _log.warning(
                    "no messages can be taken from RabbitMQ at %s, which is tried again: %s",
                    self._transport.name,
                    error,
                )
            session.wait(min(_RETRY[0] * 2.0**self._failures, _RETRY[1]))
            self._failures = min(self._failures + 1, 10)
        else:
            self._link.drop()
            self._link = None
