"""
Runners: what goes through the nodes of a pipeline.
"""

from chariots_core.pipelines import (
    BaseRunner,
    SequentialRunner,
)

__all__ = [
    "BaseRunner",
    "SequentialRunner",
]
