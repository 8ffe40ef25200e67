"""
The worker backend ``rq``: jobs of Chariots over RQ's queues in Redis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chariots_rq.options import RQOptions
    from chariots_rq.pool import RQWorkerPool
    from chariots_rq.testing import RQWorkerContext
    from chariots_rq.worker import RQJob, RQWorker

__all__ = ["RQJob", "RQOptions", "RQWorker", "RQWorkerContext", "RQWorkerPool"]

_HELD_BY = {
    "RQJob": "chariots_rq.worker",
    "RQWorker": "chariots_rq.worker",
    "RQOptions": "chariots_rq.options",
    "RQWorkerContext": "chariots_rq.testing",
    "RQWorkerPool": "chariots_rq.pool",
}


def __getattr__(name: str) -> Any:
    # A worker of RQ imports this package for its entry function alone.
    if name not in _HELD_BY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HELD_BY[name]), name)
