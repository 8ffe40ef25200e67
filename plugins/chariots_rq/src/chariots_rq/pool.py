"""
`RQWorkerPool`: job ids over RQ's queues.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from redis import Redis

from chariots_core.errors import BackendMisconfigured, ConfigurationError
from chariots_core.jobs_redis.server import RedisServer
from chariots_core.queues import QueuePool, RedisTransport
from chariots_core.workers import read_options
from chariots_rq.messages import queue_of
from chariots_rq.options import RQOptions


class RQWorkerPool(QueuePool):
    """
    Hands job ids over by RQ's queues, and keeps the jobs in the same Redis.

    A message is an RQ job that calls one function of this package with the id
    of a job, in JSON. Workers are those of Chariots (``chariots worker``), or
    RQ's own (``rq worker``); either way what runs, for how long, how often, and
    what becomes of it is the job record's business, not RQ's.

    Args:
        redis: a client of the server; the pool makes connections of its own
            that go where the client's go.
        redis_kwargs: in place of a client, what `redis.Redis` is given.
        queue_kwargs: what `rq.Queue` is given; see `RQOptions`.
        **options: the others of `RQOptions`: ``url``, ``result_ttl``,
            ``resend_after``, ``job_store``.

    Raises:
        BackendMisconfigured: options that cannot work, by key, without values.
    """

    name = "rq"

    def __init__(
        self,
        redis: Redis | None = None,
        redis_kwargs: Mapping[str, Any] | None = None,
        queue_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        given = {"redis": redis, "redis_kwargs": redis_kwargs, "queue_kwargs": queue_kwargs}
        self.options = read_options(RQOptions, given | options, backend=self.name)
        self.client: Redis = self.options.client(self.name)
        try:
            server = RedisServer.of_pool(self.client.connection_pool)
        except ConfigurationError as error:
            raise BackendMisconfigured(str(error), backend=self.name) from None
        transport = RedisTransport(server, queue_of(self.client, self.options))
        super().__init__(transport, self.options)
