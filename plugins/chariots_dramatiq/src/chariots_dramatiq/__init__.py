"""
The worker backend ``dramatiq``: jobs of Chariots over Dramatiq's queues in RabbitMQ or Redis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chariots_dramatiq.options import DramatiqOptions
    from chariots_dramatiq.pool import DramatiqWorkerPool
    from chariots_dramatiq.testing import DramatiqWorkerContext

__all__ = ["DramatiqOptions", "DramatiqWorkerContext", "DramatiqWorkerPool"]

_HELD_BY = {
    "DramatiqOptions": "chariots_dramatiq.options",
    "DramatiqWorkerContext": "chariots_dramatiq.testing",
    "DramatiqWorkerPool": "chariots_dramatiq.pool",
}


def __getattr__(name: str) -> Any:
    if name not in _HELD_BY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HELD_BY[name]), name)
