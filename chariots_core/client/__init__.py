"""
Clients of a pipelines server. Importing this loads neither the server nor a database.
"""

from chariots_core.client.aio import AsyncPipelinesClient
from chariots_core.client.base import AbstractPipelinesClient
from chariots_core.client.errors import (
    RequestRejected,
    ServerFault,
    ServerTimeout,
    ServerUnreachable,
    UnexpectedAnswer,
)
from chariots_core.client.response import PipelineResponse
from chariots_core.client.retries import RetryPolicy
from chariots_core.client.sync import PipelinesClient
from chariots_core.client.transport import HTTPTransport, Reply, Request, Timeouts, Transport

__all__ = [
    "AbstractPipelinesClient",
    "AsyncPipelinesClient",
    "HTTPTransport",
    "PipelineResponse",
    "PipelinesClient",
    "Reply",
    "Request",
    "RequestRejected",
    "RetryPolicy",
    "ServerFault",
    "ServerTimeout",
    "ServerUnreachable",
    "Timeouts",
    "Transport",
    "UnexpectedAnswer",
]
