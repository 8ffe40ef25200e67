"""
Pipelines over HTTP.
"""

from chariots_core.server.server import PipelinesServer

__all__ = ["PipelinesServer"]
