"""
The plugin of the backend ``huey``, found by its entry point.

It imports the rest when it is asked: whoever lists backends pays for no queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chariots_core.workers import BackendInfo, BaseWorkerPool, hookimpl, read_options


@hookimpl
def chariots_backend_info() -> BackendInfo:
    """
    What ``huey`` can do.
    """
    from chariots_huey.pool import HueyWorkerPool

    return BackendInfo(
        contract_version=1,
        capabilities=HueyWorkerPool.capabilities,
        summary="Huey's queue in a SQLite file; workers on the machine that has the file",
    )


@hookimpl
def chariots_create_worker_pool(name: str, options: Mapping[str, Any]) -> BaseWorkerPool:
    """
    Make a pool of the options of `HueyOptions`.
    """
    from chariots_huey.pool import HueyOptions, HueyWorkerPool

    return HueyWorkerPool(read_options(HueyOptions, options, backend=name))
