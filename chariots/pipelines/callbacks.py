"""
Callbacks: what is called around pipelines, nodes and ops.
"""

from chariots_core.pipelines import (
    OpCallBack,
    PipelineCallback,
)

__all__ = [
    "OpCallBack",
    "PipelineCallback",
]
