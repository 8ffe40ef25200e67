"""
Taking messages out of queues of RabbitMQ, and leaving to others what would wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import attrs

from chariots_core.queues.ahead import Ahead
from chariots_core.queues.rabbit_link import BROKEN, Link
from chariots_core.queues.transport import Consumer, Message, Outage

if TYPE_CHECKING:
    from chariots_core.workers import WorkerSession

#: Seconds that a brief job takes at most, and how many of them in a row are a swarm.
_BRIEF: Final = 0.01
_SWARM: Final = 50

#: How many messages RabbitMQ sends in advance while there is a swarm.
_PREFETCH: Final = 16


class RabbitConsumer(Consumer):
    """
    Takes one message at a time. A context manager.

    A message is acknowledged once its job has been run. A job may outlive
    RabbitMQ's patience with that; its message then goes to another worker, which
    finds that the job runs, and drops it.

    A message that waits here, behind a job, is one that another worker does not
    get. So RabbitMQ sends the next one only when a job is over, except in a swarm
    of brief jobs: then it sends some in advance, and acknowledgements are
    gathered. As soon as a job takes longer, what waits is given back.

    Args:
        connect: makes a connection on which the queues are there.
        queues: their names.
        name_of: the name of the message in a body.
        unavailable: the error that tells of an outage.
    """

    def __init__(
        self,
        *,
        connect: Callable[[], Link],
        queues: Sequence[str],
        name_of: Callable[[bytes], str],
        unavailable: Callable[[str], Exception],
    ) -> None:
        self._connect = connect
        self._queues = queues
        self._name_of = name_of
        self._unavailable = unavailable
        self._link: Link | None = None
        self._outage = Outage()
        self._brief = 0
        self._taken_at = 0.0
        self._is_swarm = False
        self._done: list[Message] = []
        self._next: tuple[Message, Ahead] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._next is not None:
            message, ahead = self._next
            ahead.release()
            self._done.append(message)
        self._acknowledge()
        if self._link is not None:
            self._link.close()
        self._link = None

    def take(self, session: WorkerSession, seconds: float = 1.0) -> Message | None:
        """
        The next message; ``None`` if none came for some *seconds*, if the worker
        is to stop, or if the server is out of reach, which is waited for.
        """
        message = self._claimed() or self._delivered(session, seconds)
        self._taken_at = time.monotonic()
        return message

    def put_back(self, message: Message) -> None:
        """
        Give a message back to its queue.
        """
        self._acknowledge()
        self._settle(message, back=True)

    def drop(self, message: Message) -> None:
        """
        Acknowledge a message that is done with.
        """
        is_brief = time.monotonic() - self._taken_at < _BRIEF
        self._brief = self._brief + 1 if is_brief else 0
        self._done.append(message)
        if self._link is None or not self._link.deliveries or len(self._done) >= _PREFETCH // 2:
            self._acknowledge()

    def ahead(self, session: WorkerSession) -> None:
        """
        Claim the job of a message that waits with the next command to the job store.
        """
        if self._next is not None or self._link is None or not self._link.deliveries:
            return
        message = self._message(self._link)
        lease = session.settings.runner.lease
        claim = session.job_store.claim_along(message.job_id, worker=session.worker_id, lease=lease)
        if claim is not None:
            self._link.deliveries.popleft()
            self._next = message, Ahead(session, claim)

    def attend(self) -> None:
        """
        While a job runs: give back what waits behind it, and show RabbitMQ a sign of life.
        """
        if self._link is None:
            return
        try:
            if self._is_swarm:
                self._rest(self._link)
            self._link.turn()
        except (TimeoutError, *BROKEN):
            self._hang_up()

    def after_fork_in_child(self) -> None:
        """
        Close a child's copy of the connection, without a word to the server.
        """
        if self._link is not None:
            self._link.leave_to_parent()
            self._link = None

    def _claimed(self) -> Message | None:
        """
        A message whose job was to be claimed ahead. Where it was not, the claim
        that follows tells why.
        """
        if self._next is None:
            return None
        (message, ahead), self._next = self._next, None
        return attrs.evolve(message, claimed=ahead.settle(), since=ahead.since)

    def _delivered(self, session: WorkerSession, seconds: float) -> Message | None:
        is_new = self._link is None
        try:
            link = self._link = self._link or self._connect()
            self._consume(link)
            if not link.deliveries:
                session.wait(seconds, *link.fds)
                link.turn()
        except (TimeoutError, *BROKEN) as error:
            # One that was there may have broken while nobody served it: the next try tells.
            self._hang_up()
            if is_new:
                self._outage.wait(session, self._unavailable(str(error)))
            return None
        self._outage.end()
        if not link.deliveries:
            return None
        message = self._message(link)
        link.deliveries.popleft()
        return message

    def _message(self, link: Link) -> Message:
        tag, body = link.deliveries[0]
        return Message(self._name_of(body), "", (link, tag))

    def _consume(self, link: Link) -> None:
        """
        See that RabbitMQ sends messages, in advance if there is a swarm.
        """
        is_swarm = self._brief >= _SWARM
        if is_swarm != self._is_swarm:
            self._rest(link)
        if not link.consumers:
            link.consume(self._queues, prefetch=_PREFETCH if is_swarm else 1)
            self._is_swarm = is_swarm

    def _rest(self, link: Link) -> None:
        self._is_swarm = False
        self._acknowledge()
        link.rest()

    def _hang_up(self) -> None:
        link, self._link = self._link, None
        self._is_swarm = False
        if link is not None:
            link.drop()

    def _acknowledge(self) -> None:
        if self._done:
            self._settle(self._done[-1], back=False)
            self._done = []

    def _settle(self, message: Message, *, back: bool) -> None:
        link, tag = message.tag
        # A connection that is gone has given the message back by itself.
        with suppress(*BROKEN):
            link.settle(tag, back=back)
