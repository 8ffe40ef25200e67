"""
Ops that hold models of Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chariots._lazy import lazily

if TYPE_CHECKING:
    from chariots_ml.keras import KerasOp

__all__ = [
    "KerasOp",
]

__getattr__, __dir__ = lazily(
    __name__,
    dict.fromkeys(__all__, "chariots_ml.keras"),
    plugins=dict.fromkeys(__all__, "chariots-ml"),
)
