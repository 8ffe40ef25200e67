"""
Workers: where pipelines run that a request shall not wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chariots._lazy import lazily

if TYPE_CHECKING:
    from chariots_core.jobs import JobStatus
    from chariots_core.local import LocalWorkerPool
    from chariots_core.workers import BaseWorkerPool

    DramatiqWorkerPool: Any
    RQWorkerPool: Any

__all__ = [
    "BaseWorkerPool",
    "DramatiqWorkerPool",
    "JobStatus",
    "LocalWorkerPool",
    "RQWorkerPool",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "BaseWorkerPool": "chariots_core.workers",
        "DramatiqWorkerPool": "chariots_dramatiq",
        "JobStatus": "chariots_core.jobs",
        "LocalWorkerPool": "chariots_core.local",
        "RQWorkerPool": "chariots_rq",
    },
    plugins={
        "DramatiqWorkerPool": "chariots-dramatiq",
        "RQWorkerPool": "chariots-rq",
    },
)
