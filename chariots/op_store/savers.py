"""
Where an op store keeps the bytes of ops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chariots._lazy import lazily

if TYPE_CHECKING:
    from chariots_core.op_store.savers import BaseSaver, FileSaver

__all__ = [
    "BaseSaver",
    "FileSaver",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "BaseSaver": "chariots_core.op_store.savers",
        "FileSaver": "chariots_core.op_store.savers",
    },
)
