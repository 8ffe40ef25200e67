"""
`DramatiqWorkerPool`: job ids over Dramatiq's queues.
"""

from __future__ import annotations

from typing import Any

from dramatiq import Broker

from chariots_core.errors import BackendMisconfigured, ConfigurationError
from chariots_core.queues import QueuePool, Transport
from chariots_core.workers import read_options
from chariots_dramatiq.messages import queue_in_rabbitmq, queue_in_redis
from chariots_dramatiq.options import DramatiqOptions, kind_of


class DramatiqWorkerPool(QueuePool):
    """
    Hands job ids over by Dramatiq's queues, in RabbitMQ or in Redis.

    A message is one to the actor ``chariots_run`` with the id of a job, in JSON.
    Workers are those of Chariots (``chariots worker``), or Dramatiq's own
    (``dramatiq chariots_dramatiq.worker``); either way what runs, for how long,
    how often, and what becomes of it is the job record's business, not
    Dramatiq's: there are no results, and no retries, of its middleware.

    On Redis the jobs are kept there as well. RabbitMQ keeps none: they are where
    ``job_store`` or ``CHARIOTS_JOB_STORE`` says.

    Args:
        broker: a `RedisBroker` or a `RabbitmqBroker`; the pool makes connections
            of its own that go where the broker's go.
        **options: in its place, and beside it, those of `DramatiqOptions`:
            ``url``, ``broker_kwargs``, ``resend_after``, ``job_store``.

    Raises:
        BackendMisconfigured: options that cannot work, by key, without values.
    """

    name = "dramatiq"

    def __init__(self, broker: Broker | None = None, **options: Any) -> None:
        self.options = read_options(
            DramatiqOptions, {"broker": broker} | options, backend=self.name
        )
        self.broker = self.options.make_broker(self.name)
        try:
            super().__init__(_transport(self.broker), self.options)
        except ConfigurationError as error:
            raise BackendMisconfigured(str(error), backend=self.name) from None


def _transport(broker: Any) -> Transport:
    if kind_of(broker) == "rabbitmq":
        from chariots_core.queues import RabbitTransport

        several = isinstance(broker.parameters, list)
        parameters = broker.parameters if several else [broker.parameters]
        return RabbitTransport(parameters, queue_in_rabbitmq(broker))
    from chariots_core.jobs_redis.server import RedisServer
    from chariots_core.queues import RedisTransport

    server = RedisServer.of_pool(broker.client.connection_pool)
    return RedisTransport(server, queue_in_redis(broker))
