"""
How models become bytes, and bytes models again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chariots._lazy import lazily

if TYPE_CHECKING:
    from chariots_ml.serializers import (
        BaseSerializer,
        CSVSerializer,
        DillSerializer,
        JSONSerializer,
        SkopsSerializer,
    )

__all__ = [
    "BaseSerializer",
    "CSVSerializer",
    "DillSerializer",
    "JSONSerializer",
    "SkopsSerializer",
]

__getattr__, __dir__ = lazily(
    __name__,
    dict.fromkeys(__all__, "chariots_ml.serializers"),
    plugins=dict.fromkeys(__all__, "chariots-ml"),
)
