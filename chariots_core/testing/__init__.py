"""
What tests of pipelines need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from chariots_core.testing.clients import TestPipelinesClient
    from chariots_core.testing.op_store import TestOpStoreClient
    from chariots_core.testing.workers import BackendWorkerContext, WorkerContext

__all__ = ["BackendWorkerContext", "TestOpStoreClient", "TestPipelinesClient", "WorkerContext"]

#: Fetched when asked for: one of them shall not load what only the others need.
_HELD_BY: Final = {
    "BackendWorkerContext": "chariots_core.testing.workers",
    "TestOpStoreClient": "chariots_core.testing.op_store",
    "TestPipelinesClient": "chariots_core.testing.clients",
    "WorkerContext": "chariots_core.testing.workers",
}


def __getattr__(name: str) -> Any:
    if name not in _HELD_BY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HELD_BY[name]), name)
