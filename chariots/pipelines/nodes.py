"""
Nodes: ops, and the names of what they read and give.
"""

from chariots_core.pipelines import (
    BaseNode,
    Node,
    ReservedNodes,
)

__all__ = [
    "BaseNode",
    "Node",
    "ReservedNodes",
]
