"""
The plugin of the backend ``dramatiq``, found by its entry point.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chariots_core.workers import BackendInfo, BaseWorkerPool, hookimpl
from chariots_dramatiq.pool import DramatiqWorkerPool


@hookimpl
def chariots_backend_info() -> BackendInfo:
    """
    What ``dramatiq`` can do.
    """
    return BackendInfo(
        contract_version=1,
        capabilities=DramatiqWorkerPool.capabilities,
        summary="Dramatiq's queues in RabbitMQ or Redis; workers on any machine that reaches it",
    )


@hookimpl
def chariots_create_worker_pool(options: Mapping[str, Any]) -> BaseWorkerPool:
    """
    Make a pool of the options of `DramatiqOptions`.
    """
    return DramatiqWorkerPool(**options)
