"""
What worker backends over a queue of their own have in common.

A backend says how one message gets into its queue and out of it: that is a
`Transport`. `QueuePool` is a worker pool over one. `RedisTransport` is the
transport of an engine that keeps the names of its messages in lists of Redis,
`RabbitTransport` that of one which keeps its messages in queues of RabbitMQ.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chariots_core.queues.pool import QueueOptions, QueuePool
from chariots_core.queues.transport import Consumer, Message, Transport, quoted

if TYPE_CHECKING:
    from chariots_core.queues.rabbit_queues import RabbitQueue, RabbitTransport
    from chariots_core.queues.redis_lists import RedisList, RedisTransport

__all__ = [
    "Consumer",
    "Message",
    "QueueOptions",
    "QueuePool",
    "RabbitQueue",
    "RabbitTransport",
    "RedisList",
    "RedisTransport",
    "Transport",
    "quoted",
]

#: They need the extras ``rabbitmq`` and ``redis``.
_LATE = {
    "RabbitQueue": "rabbit_queues",
    "RabbitTransport": "rabbit_queues",
    "RedisList": "redis_lists",
    "RedisTransport": "redis_lists",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
