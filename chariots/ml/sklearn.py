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
    {
        "BaseSKOp": "chariots_ml.sklearn",
        "SKSupervisedOp": "chariots_ml.sklearn",
        "SKUnsupervisedOp": "chariots_ml.sklearn",
    },
    plugins={
        "BaseSKOp": "chariots-ml",
        "SKSupervisedOp": "chariots-ml",
        "SKUnsupervisedOp": "chariots-ml",
    },
)
