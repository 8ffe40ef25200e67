"""
Pipelines: ops linked as nodes, checked once, run as often as one likes.
"""

from chariots_core.pipelines.callbacks import OpCallBack, PipelineCallback
from chariots_core.pipelines.nodes import BaseNode, Node, ReservedNodes
from chariots_core.pipelines.ops import BaseOp, LoadableOp
from chariots_core.pipelines.pipeline import Pipeline
from chariots_core.pipelines.runners import BaseRunner, SequentialRunner

__all__ = [
    "BaseNode",
    "BaseOp",
    "BaseRunner",
    "LoadableOp",
    "Node",
    "OpCallBack",
    "Pipeline",
    "PipelineCallback",
    "ReservedNodes",
    "SequentialRunner",
]
