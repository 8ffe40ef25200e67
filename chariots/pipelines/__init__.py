"""
Pipelines, and the server and clients that give them to the world.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chariots._lazy import lazily

if TYPE_CHECKING:
    from chariots_core.client import (
        AbstractPipelinesClient,
        AsyncPipelinesClient,
        PipelineResponse,
        PipelinesClient,
    )
    from chariots_core.pipelines import Pipeline
    from chariots_core.server import PipelinesServer

__all__ = [
    "AbstractPipelinesClient",
    "AsyncPipelinesClient",
    "Pipeline",
    "PipelineResponse",
    "PipelinesClient",
    "PipelinesServer",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "AbstractPipelinesClient": "chariots_core.client",
        "AsyncPipelinesClient": "chariots_core.client",
        "Pipeline": "chariots_core.pipelines",
        "PipelineResponse": "chariots_core.client",
        "PipelinesClient": "chariots_core.client",
        "PipelinesServer": "chariots_core.server",
    },
)
