"""
The plugin of the backend `local`, found by its entry point like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chariots_core.local.pool import LocalOptions, LocalWorkerPool
from chariots_core.workers import BackendInfo, BaseWorkerPool, hookimpl, read_options


@hookimpl
def chariots_backend_info() -> BackendInfo:
    """
    What `local` can do.
    """
    return BackendInfo(
        contract_version=1,
        capabilities=LocalWorkerPool.capabilities,
        summary="worker processes over the SQL job store; no server to install",
    )


@hookimpl
def chariots_create_worker_pool(name: str, options: Mapping[str, Any]) -> BaseWorkerPool:
    """
    Make a pool of the options ``url`` and ``poll_interval``.
    """
    checked = read_options(LocalOptions, options, backend=name)
    return LocalWorkerPool(url=checked.url, poll_interval=checked.poll_interval)
