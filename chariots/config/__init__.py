"""
The configuration of servers, workers and the op store, from a file or in code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chariots._lazy import lazily

if TYPE_CHECKING:
    from chariots_core.config import ChariotsConfig, OpStoreConfig, PipelinesConfig, WorkersConfig

__all__ = [
    "ChariotsConfig",
    "OpStoreConfig",
    "PipelinesConfig",
    "WorkersConfig",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "ChariotsConfig": "chariots_core.config",
        "OpStoreConfig": "chariots_core.config",
        "PipelinesConfig": "chariots_core.config",
        "WorkersConfig": "chariots_core.config",
    },
)
