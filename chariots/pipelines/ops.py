"""
Ops: the steps of pipelines.
"""

from chariots_core.pipelines import (
    BaseOp,
    LoadableOp,
)

__all__ = [
    "BaseOp",
    "LoadableOp",
]
