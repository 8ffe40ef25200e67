"""
The trivial job, as raw Dramatiq wants it: on the broker that the environment names.
"""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

url = os.environ["BENCH_BROKER_URL"]
# They carry no types.
make_broker: Any = RabbitmqBroker if url.startswith("amqp") else RedisBroker
make_backend: Any = RedisBackend
middleware: Any = Results

backend = make_backend(url=f"{os.environ['BENCH_REDIS_URL']}/1")
broker = make_broker(url=url)
broker.add_middleware(middleware(backend=backend, store_results=True, result_ttl=3_600_000))
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="bench")
def is_odd(number: int) -> bool:
    """
    Whether *number* is odd.
    """
    return number % 2 == 1
