"""
The op store: the versions of ops, and which of them belong together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chariots._lazy import lazily

if TYPE_CHECKING:
    from chariots_core.op_store import BaseOpStoreClient, LocalOpStoreClient
    from chariots_core.op_store_http import OpStoreClient
    from chariots_core.server.op_store import OpStoreServer

__all__ = [
    "BaseOpStoreClient",
    "LocalOpStoreClient",
    "OpStoreClient",
    "OpStoreServer",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "BaseOpStoreClient": "chariots_core.op_store",
        "LocalOpStoreClient": "chariots_core.op_store",
        "OpStoreClient": "chariots_core.op_store_http",
        "OpStoreServer": "chariots_core.server.op_store",
    },
)
