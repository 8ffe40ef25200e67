"""
Taking messages out of queues, and stopping at once when told to.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from chariots_core.errors import StoreUnavailable
from chariots_core.jobs_redis import RedisJobStore
from chariots_core.jobs_redis.server import RedisServer
from chariots_core.queues.ahead import Ahead
from chariots_core.queues.transport import Consumer, Message, Outage

if TYPE_CHECKING:
    from chariots_core.workers import WorkerSession

#: Seconds after which Redis answers although there is no message. An answer that
#: is still missing `_SLACK` seconds later is one of a server that is gone.
_PATIENCE: Final = 5
_SLACK: Final = 5.0


class RedisConsumer(Consumer):
    """
    Takes the names of messages from lists of Redis, the first queue first. A context manager.

    It asks Redis to answer as soon as there is a message, and waits for the
    answer together with whatever else the worker has to hear. What was asked
    stays asked while the worker does other things; a message that comes in as
    the worker stops goes back to its place.

    While there is work, and the jobs are on the same server, the next message is
    taken and its job claimed in one step, which goes to the server together with
    the outcome of the job before.

    Args:
        server: where the queues are.
        queues: the key of each, and the command that removes what else there is
            of a message, whose name is put at the end of its last word.
    """

    def __init__(self, server: RedisServer, queues: Mapping[str, Sequence[str]]) -> None:
        self._server = server
        self._queues = dict(queues)
        self._connection: Any = None
        self._number: Any = None
        self._asked_at: float | None = None
        self._outage = Outage()
        self._taking = b""
        self._ahead: Ahead | None = None
        # What is to be said of messages that are done with, and what was said
        # and not answered yet: with the next question, in one go.
        self._to_forget: list[Sequence[str]] = []
        self._told: list[Sequence[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ahead is not None:
            self._ahead.release()
        with suppress(StoreUnavailable):
            self._unask()
        self._hang_up()
        for command in self._to_forget:
            with suppress(StoreUnavailable):
                self._server.command(*command)

    def take(self, session: WorkerSession, seconds: float = 1.0) -> Message | None:
        """
        The next message; ``None`` if none came for some *seconds*, if the worker
        is to stop, or if the server is out of reach, which is waited for.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and (job := ahead.settle()) is not None:
            return Message(f"{job.id}-{job.generation}", "", claimed=job, since=ahead.since)
        try:
            message = self._take(session, seconds)
        except StoreUnavailable as error:
            self._hang_up()
            self._outage.wait(session, error)
            return None
        if not self._is_asking():
            self._outage.end()
        return message

    def put_back(self, message: Message) -> None:
        """
        Give a message back to the head of its queue.
        """
        # Where that fails it is sent again, as any message that is lost.
        with suppress(StoreUnavailable):
            self._server.command("LPUSH", message.queue, message.id)

    def drop(self, message: Message) -> None:
        """
        Forget a message that is done with, and what the engine keeps of it.
        """
        # One whose job was claimed as it was taken is forgotten already.
        if message.claimed is None:
            *words, last = self._queues[message.queue]
            self._to_forget.append([*words, f"{last}{message.id}"])

    def ahead(self, session: WorkerSession) -> None:
        """
        Take the next message, and claim its job, with the next command to the
        server, where the jobs are there, too.
        """
        store = session.job_store
        if self._ahead is not None or self._is_asking():
            return
        if not isinstance(store, RedisJobStore) or not store.is_on(self._server):
            return
        if not self._taking:
            lease = session.settings.runner.lease
            self._taking = store.taking(self._queues, worker=session.worker_id, lease=lease)
        self._ahead = Ahead(session, store.take_along(self._taking))

    def after_fork_in_child(self) -> None:
        """
        Close a child's copy of the connection, without a word to the server.
        """
        self._hang_up()

    # -- asking

    def _take(self, session: WorkerSession, seconds: float) -> Message | None:
        if not self._is_asking():
            self._send(("BLPOP", *self._queues, _PATIENCE))
        assert self._asked_at is not None
        if not session.wait(seconds, self._connection._sock.fileno()):  # noqa: SLF001 - to wait for both
            if time.monotonic() - self._asked_at > _PATIENCE + _SLACK:
                raise StoreUnavailable(f"{self._server!r} has stopped answering")
            return None
        return self._answer()

    def _is_asking(self) -> bool:
        return self._asked_at is not None

    def _send(self, question: Sequence[Any]) -> None:
        with self._server.failing():
            if self._connection is None:
                self._connection = self._server.connect()
                self._connection.send_command("CLIENT", "ID")
                self._number = self._connection.read_response()
            commands = [*self._to_forget, question]
            self._told, self._to_forget = self._to_forget, []
            self._connection.send_packed_command(self._connection.pack_commands(commands))
        self._asked_at = time.monotonic()

    def _answer(self) -> Message | None:
        with self._server.failing():
            while self._told:
                self._connection.read_response()
                self._told.pop()
                if not self._told and not self._connection.can_read():
                    return None
            found = self._connection.read_response()
        self._asked_at = None
        if found is None:
            return None
        queue, name = found
        return Message(name.decode(errors="replace"), queue.decode())

    def _unask(self) -> None:
        """
        Take back what was asked; a message that came all the same is given back.
        """
        if not self._is_asking():
            return
        self._server.command("CLIENT", "UNBLOCK", self._number)
        message = None
        while self._is_asking():
            message = self._answer()
        if message is not None:
            self.put_back(message)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()
        self._connection = self._asked_at = None
        self._to_forget, self._told = [*self._told, *self._to_forget], []
