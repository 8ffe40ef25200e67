"""
What a worker of RQ's own calls: one function, with the id of a job.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from typing import Final

from chariots_core.app import App, load_app
from chariots_core.errors import AppLoadError
from chariots_core.workers import BaseWorkerPool, RunnerSettings
from chariots_core.workers.runner import JobRunner

#: The environment variable that names the app of ``rq worker``.
APP_VARIABLE: Final = "CHARIOTS_APP"


def run(job_id: str) -> None:
    """
    Run one job of the app that the environment names, in a child of this process.

    The job's record says what became of it; RQ is told nothing.

    Raises:
        AppLoadError: ``CHARIOTS_APP`` names no app.
        StoreUnavailable: the job cannot be claimed now; it is sent again.
    """
    app, pool = app_of_environment()
    with JobRunner(
        app,
        worker_id=f"{socket.gethostname()}-{os.getpid()}-rq",
        settings=RunnerSettings(isolation="fresh", app_spec=os.environ[APP_VARIABLE]),
        after_fork=pool.after_fork_in_child,
    ) as runner:
        runner.run(job_id)


@cache
def app_of_environment() -> tuple[App, BaseWorkerPool]:
    """
    The app that the environment names, and its pool; loaded once.

    Raises:
        AppLoadError: it names none, or one without a worker pool.
    """
    spec = os.environ.get(APP_VARIABLE)
    if not spec:
        raise AppLoadError(
            f"a worker of RQ runs jobs of one app: set {APP_VARIABLE} to it, as "
            "'package.module:attribute'"
        )
    app = load_app(spec)
    if app.pool is None:
        raise AppLoadError(f"app {spec!r} has no worker pool: give it worker_pool='rq'")
    return app, app.pool
