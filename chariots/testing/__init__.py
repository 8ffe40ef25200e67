"""
What tests of pipelines need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chariots._lazy import lazily

if TYPE_CHECKING:
    from chariots_core.testing import TestOpStoreClient, TestPipelinesClient, WorkerContext

    DramatiqWorkerContext: Any
    RQWorkerContext: Any

__all__ = [
    "DramatiqWorkerContext",
    "RQWorkerContext",
    "TestOpStoreClient",
    "TestPipelinesClient",
    "WorkerContext",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "DramatiqWorkerContext": "chariots_dramatiq.testing",
        "RQWorkerContext": "chariots_rq.testing",
        "TestOpStoreClient": "chariots_core.testing",
        "TestPipelinesClient": "chariots_core.testing",
        "WorkerContext": "chariots_core.testing",
    },
    plugins={
        "DramatiqWorkerContext": "chariots-dramatiq",
        "RQWorkerContext": "chariots-rq",
    },
)
