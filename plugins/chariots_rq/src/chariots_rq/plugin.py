"""
The plugin of the backend ``rq``, found by its entry point.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chariots_core.workers import BackendInfo, BaseWorkerPool, hookimpl
from chariots_rq.pool import RQWorkerPool


@hookimpl
def chariots_backend_info() -> BackendInfo:
    """
    What ``rq`` can do.
    """
    return BackendInfo(
        contract_version=1,
        capabilities=RQWorkerPool.capabilities,
        summary="RQ's queues in Redis; workers on any machine that reaches it",
    )


@hookimpl
def chariots_create_worker_pool(options: Mapping[str, Any]) -> BaseWorkerPool:
    """
    Make a pool of the options of `RQOptions`.
    """
    return RQWorkerPool(**options)
