"""
Ops that hold models of scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chariots._lazy import lazily

if TYPE_CHECKING:
    BaseSKOp: Any
    SKSupervisedOp: Any
    SKUnsupervisedOp: Any

__all__ = [
    "BaseSKOp",
    "SKSupervisedOp",
    "SKUnsupervisedOp",
]

__getattr__, __dir__ = lazily(
    __name__,
    dict.fromkeys(__all__, "chariots_ml.sklearn"),
    plugins=dict.fromkeys(__all__, "chariots-ml"),
)
