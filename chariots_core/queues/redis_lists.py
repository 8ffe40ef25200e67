"""
The transport of engines that keep the names of their messages in lists of Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import attrs

from chariots_core.errors import BrokerUnavailable, StoreUnavailable
from chariots_core.jobs.record import NewJob
from chariots_core.jobs.store import Created, IdempotencyKey, JobStore
from chariots_core.jobs_redis import RedisJobStore
from chariots_core.jobs_redis.server import RedisServer, Script, Unsent
from chariots_core.queues.redis_consumer import RedisConsumer
from chariots_core.queues.transport import Transport
from chariots_core.workers import SubmitRequest

_HAND_OVER: Final = Script("chariots_core.queues", "hand_over.lua")


@attrs.frozen(kw_only=True)
class RedisList:
    """
    How an engine keeps one queue in Redis: a list of names, and each message elsewhere.

    Attributes:
        key: the list's key; new names are put at its end.
        known: the command that gives 1 where a message is there; the message's
            name is put at the end of its last word.
        forget: the command that removes a message that is no longer in the list;
            likewise.
        write: the commands that write the message of a request.
    """

    key: str
    known: tuple[str, ...]
    forget: tuple[str, ...]
    write: Callable[[SubmitRequest], list[list[Any]]]


class RedisTransport(Transport):
    """
    Sends messages to, and takes them from, lists of a Redis server.

    It can keep the jobs as well; then a job and its message are written in one
    step. A job that is handed over again gets no second message while an
    earlier one waits.

    Args:
        server: the server.
        queue: how a queue of an app is kept; it is asked once for each.
    """

    def __init__(self, server: RedisServer, queue: Callable[[str, str], RedisList]) -> None:
        self.server = server
        #: A queue of an app, by the names of both.
        self.queue = cache(queue)
        self._consumer: RedisConsumer | None = None

    def send(self, request: SubmitRequest) -> None:
        """
        Put one message at the end of its queue, unless an earlier one waits there.

        Raises:
            BrokerUnavailable: Redis cannot be reached or cannot work.
            TimeoutError: it did not answer.
        """
        queue = self.queue(request.app, request.queue)
        commands = queue.write(request)
        words = [word for command in commands for word in (len(command), *command)]
        try:
            self.server.run(
                _HAND_OVER,
                (queue.key,),
                *(request.job_id, request.generation),
                *(len(queue.known), *queue.known),
                *(len(commands), *words),
            )
        except Unsent as error:
            raise BrokerUnavailable(error.message, job_id=request.job_id) from error
        except StoreUnavailable as error:
            raise TimeoutError(error.message) from error

    def consumer(self, app: str, queues: Sequence[str]) -> RedisConsumer:
        """
        What takes messages out of some queues, the first queue first.
        """
        kept = [self.queue(app, name) for name in queues]
        self._consumer = RedisConsumer(self.server, {queue.key: queue.forget for queue in kept})
        return self._consumer

    def job_store(self, app: str) -> JobStore:
        """
        The jobs of *app*, on the same server.
        """
        return RedisJobStore(self.server, app=app)

    def record(
        self,
        store: JobStore,
        job: NewJob,
        idempotency: IdempotencyKey | None,
        request: SubmitRequest,
    ) -> Created | None:
        """
        Record *job* and put its first message into the queue, if one server has both.
        """
        if not isinstance(store, RedisJobStore) or not store.is_on(self.server):
            return None
        queue = self.queue(request.app, request.queue)
        commands = [*queue.write(request), ["RPUSH", queue.key, request.message_id]]
        return store.create(job, idempotency=idempotency, commands=commands)

    def after_fork_in_child(self) -> None:
        """
        Close this process's copies of connections, without a word to the server.
        """
        self.server.after_fork_in_child()
        if self._consumer is not None:
            self._consumer.after_fork_in_child()

    def close(self) -> None:
        """
        Give back connections. Idempotent.
        """
        self.server.close()
