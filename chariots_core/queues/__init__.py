"""
What worker backends over a queue of their own have in common.

A backend says how one message gets into its queue and out of it: that is a
`Transport`. `QueuePool` is a worker pool over one, and `RedisTransport` the
transport of an engine that keeps the names of its messages in lists of Redis.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chariots_core.queues.pool import QueueOptions, QueuePool
from chariots_core.queues.transport import Consumer, Message, Transport, quoted

if TYPE_CHECKING:
    from chariots_core.queues.redis_lists import RedisList, RedisTransport

__all__ = [
    "Consumer",
    "Message",
    "QueueOptions",
    "QueuePool",
    "RedisList",
    "RedisTransport",
    "Transport",
    "quoted",
]

#: They need the extra ``redis``.
_IN_REDIS = ("RedisList", "RedisTransport")


def __getattr__(name: str) -> Any:
    if name not in _IN_REDIS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("chariots_core.queues.redis_lists"), name)
