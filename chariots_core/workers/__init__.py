"""
Worker backends: how to use one, and how to write one.

To run pipelines of an app on workers, name an installed backend:
``worker_pool="local"``, or with options
``worker_pool={"backend": "local", "url": "sqlite:///jobs.db"}``.

**A queue of your own.** Subclass `BaseWorkerPool` and pass an object of the
class as ``worker_pool``. It needs no plugin; its docstring shows a complete one.

**A backend for others to choose by name** is a distribution with a plugin;
`chariots plugin new` writes one that works. This package is all that it imports::

    # my_queue/plugin.py
    from chariots_core.workers import BackendInfo, hookimpl, read_options

    @hookimpl
    def chariots_backend_info():
        from my_queue.pool import MyPool

        return BackendInfo(contract_version=1, capabilities=MyPool.capabilities)

    @hookimpl
    def chariots_create_worker_pool(name, options):
        from my_queue.pool import MyOptions, MyPool

        return MyPool(read_options(MyOptions, options, backend=name))

Its ``pyproject.toml`` says where the plugin is. The name of the entry point is
the name of the backend::

    [project.entry-points."chariots.worker_backends"]
    my-queue = "my_queue.plugin"

Names are read without importing anything; the plugin is imported when somebody
chooses it, and checked then: a misspelt hook, a wrong argument, another version
of the contract are errors that say what to do. `chariots backends` shows them
without choosing.

**An engine with a loop of its own** (processes or threads that somebody else's
library starts for each message) makes its `WorkerSession` and `JobRunner` itself;
their docstrings say how.

**Something that is no backend**, such as an observer of jobs or a wrapper around
the hand-over, is a plugin of the group ``chariots.plugins``, and is loaded
wherever it is installed, unless ``CHARIOTS_DISABLE_PLUGINS`` names it. All hooks
are described in `chariots_core.workers.hookspecs`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chariots_core.errors import BackendMisconfigured, BrokerUnavailable, UnsupportedCapability
from chariots_core.workers.capabilities import CORE_CAPABILITIES, BackendInfo, Capabilities
from chariots_core.workers.contracts import (
    JobInput,
    JobOutput,
    RunnerApp,
    RunnerSettings,
    RunOutcome,
)
from chariots_core.workers.hookspecs import CONTRACT_VERSION, hookimpl
from chariots_core.workers.options import read_options
from chariots_core.workers.pool import BaseWorkerPool, JobOptions
from chariots_core.workers.requests import SubmitRequest

if TYPE_CHECKING:
    from chariots_core.workers.process import run_worker_process
    from chariots_core.workers.runner import JobRunner
    from chariots_core.workers.session import WorkerSession
    from chariots_core.workers.settings import WorkerSettings
    from chariots_core.workers.signals import StopSignals

__all__ = [
    "CONTRACT_VERSION",
    "CORE_CAPABILITIES",
    "BackendInfo",
    "BackendMisconfigured",
    "BaseWorkerPool",
    "BrokerUnavailable",
    "Capabilities",
    "JobInput",
    "JobOptions",
    "JobOutput",
    "JobRunner",
    "RunOutcome",
    "RunnerApp",
    "RunnerSettings",
    "StopSignals",
    "SubmitRequest",
    "UnsupportedCapability",
    "WorkerSession",
    "WorkerSettings",
    "hookimpl",
    "read_options",
    "run_worker_process",
]

#: What only a worker's process needs: whoever submits jobs does not import it.
_LATE = {
    "JobRunner": "runner",
    "StopSignals": "signals",
    "WorkerSession": "session",
    "WorkerSettings": "settings",
    "run_worker_process": "process",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
