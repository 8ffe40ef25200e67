"""
The op store: versions of ops, the links between them, and what is active.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chariots_core.op_store import savers
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.values import ActiveSet, Link, Manifest, OpVersion, SavedOp

if TYPE_CHECKING:
    from chariots_core.op_store.sql_store import LocalOpStoreClient

__all__ = [
    "ActiveSet",
    "BaseOpStoreClient",
    "Link",
    "LocalOpStoreClient",
    "Manifest",
    "OpVersion",
    "SavedOp",
    "savers",
]


def __getattr__(name: str) -> Any:
    # SQLAlchemy takes longer to import than all the rest, and values and the
    # contract do without it
    if name == "LocalOpStoreClient":
        from chariots_core.op_store.sql_store import LocalOpStoreClient

        return LocalOpStoreClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
