"""
What a worker of RQ's own calls: one function, with the id of a job.
"""

from __future__ import annotations

import os
import socket

from chariots_core.app.engines import app_of_environment
from chariots_core.workers import JobRunner, RunnerSettings
from chariots_rq.pool import RQWorkerPool


def run(job_id: str) -> None:
    """
    Run one job of the app that ``CHARIOTS_APP`` names, in a child of this process.

    The job's record says what became of it; RQ is told nothing.

    Raises:
        AppLoadError: the variable names no app.
        BackendMisconfigured: the app does not use RQ.
        StoreUnavailable: the job cannot be claimed now; it is sent again.
    """
    app, pool, spec = app_of_environment(RQWorkerPool)
    with JobRunner(
        app,
        worker_id=f"{socket.gethostname()}-{os.getpid()}-rq",
        settings=RunnerSettings(isolation="fresh", app_spec=spec),
        after_fork=pool.after_fork_in_child,
    ) as runner:
        runner.run(job_id)
