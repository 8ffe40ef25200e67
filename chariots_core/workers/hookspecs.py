"""
The hooks of Chariots: typed signatures and what they promise.

A backend implements the first two. The next two have an implementation in core
that asks the pool; a plugin may come first, or wrap them. The others are asked
of each plugin by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import pluggy

if TYPE_CHECKING:
    from chariots_core.jobs.record import JobRecord
    from chariots_core.workers.capabilities import BackendInfo
    from chariots_core.workers.pool import BaseWorkerPool
    from chariots_core.workers.requests import SubmitRequest

PROJECT: Final = "chariots"

#: The version of the contract between core and its worker backends.
CONTRACT_VERSION: Final = 1

#: Marks a function of a plugin as the implementation of the hook of its name.
hookimpl: Final = pluggy.HookimplMarker(PROJECT)

_hookspec: Final = pluggy.HookspecMarker(PROJECT)


@_hookspec(firstresult=True)
def chariots_backend_info() -> BackendInfo:  # type: ignore[empty-body]
    """
    Called when a backend is chosen or listed, before anything is made.

    Must not connect, start or change anything: the answer is given with the
    broker down.

    Returns:
        What the backend can do, and the contract it was written for.
    """


@_hookspec(firstresult=True)
def chariots_create_worker_pool(  # type: ignore[empty-body]
    name: str, options: Mapping[str, Any]
) -> BaseWorkerPool:
    """
    Called when an app is made with this backend.

    Must be cheap: no input or output, no thread, nothing that a fork would
    break. `chariots_core.workers.read_options` checks options and reports all
    bad ones at once.

    Args:
        name: the backend's name: that of the plugin's entry point.
        options: what the app or the configuration says beside the name.

    Returns:
        A pool that is not yet bound to an app.

    Raises:
        BackendMisconfigured: options that are unknown or cannot work, by key;
            never with a value, which may be a secret.
    """


@_hookspec(firstresult=True)
def chariots_execute_pipeline(pool: BaseWorkerPool, request: SubmitRequest) -> bool | None:
    """
    Called to hand one recorded job to a queue.

    Core's implementation comes last and calls ``pool.submit(request)``. A
    wrapper may audit, trace or route; what it raises is the call's error.

    Args:
        pool: the app's pool.
        request: the job's id, and what is needed to route it.

    Returns:
        ``True`` if this plugin handed the job over; ``None`` leaves it to the next.

    Raises:
        BrokerUnavailable: the job was certainly not handed over.
        TimeoutError: nobody knows whether it was.
    """


@_hookspec(firstresult=True)
def chariots_lookup_job(pool: BaseWorkerPool, job_id: str) -> JobRecord | None:
    """
    Called to answer for one job.

    Core's implementation comes last: the job store, after what time has made
    due for that job was settled.

    Args:
        pool: the app's pool.
        job_id: a well-formed id.

    Returns:
        The job's record; ``None`` leaves the answer to the next plugin.

    Raises:
        JobNotFound: the app has no such job.
    """


@_hookspec
def chariots_job_event(app: str, event_name: str, record: JobRecord) -> None:
    """
    Called, for every plugin, after something happened to a job.

    For observers: it cannot change the job, and an exception in it is logged,
    never fatal. It is called in the process where the thing happened, which
    waits for it, so it should be quick. It cannot be a wrapper.

    Args:
        app: the app's name.
        event_name: ``"queued"``, ``"deferred"``, ``"running"``, ``"done"``,
            ``"failed"``: the status just reached; more may come.
        record: the job as it is now.
    """


@_hookspec
def chariots_blueprint(server: Any) -> Any | None:
    """
    Called, for every plugin, as a server is made, after its own routes.

    For pages and other routes beside the server's. A plugin that cannot give
    its blueprint is logged and left out.

    Args:
        server: the `chariots_core.server.PipelinesServer`; its app is ``server.chariots``.

    Returns:
        A ``flask.Blueprint`` to register, or ``None``.
    """


@_hookspec
def chariots_command() -> Any | None:
    """
    Called, for every plugin, when the command line is asked for its help or for
    a command that is not core's.

    A command of core's name is never asked for. A plugin that cannot give its
    command is logged and left out.

    Returns:
        A ``click.Command`` with a name, or ``None``.
    """
