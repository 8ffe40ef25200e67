"""
Ops that hold models of machine-learning libraries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chariots._lazy import lazily

if TYPE_CHECKING:
    from chariots_ml import BaseMLOp, MLMode

__all__ = [
    "BaseMLOp",
    "MLMode",
]

__getattr__, __dir__ = lazily(
    __name__,
    dict.fromkeys(__all__, "chariots_ml"),
    plugins=dict.fromkeys(__all__, "chariots-ml"),
)
