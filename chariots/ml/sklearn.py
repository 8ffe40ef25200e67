"""
Ops that hold models of scikit-learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chariots._lazy import lazily

if TYPE_CHECKING:
    from chariots_ml.sklearn import BaseSKOp, SKSupervisedOp, SKUnsupervisedOp

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
