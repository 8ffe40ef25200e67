"""
Apps whose pools start workers in a way of their own, or not at all, for
processes that import them by name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from chariots_core.local.pool import LocalWorkerPool
from chariots_core.workers import BaseWorkerPool, SubmitRequest
from chariots_core.workers.handle import WorkerProcess
from tests.apps import make_server

FOLDER = Path(os.environ["SERVED_APP_FOLDER"])


class OwnWorkers(LocalWorkerPool):
    """
    Notes each worker that it starts.
    """

    def spawn_worker(self, **options: Any) -> WorkerProcess:
        worker = super().spawn_worker(**options)
        with (FOLDER / "workers").open("a") as file:
            file.write(f"{worker.pid}\n")
        return worker


class NoWorkers(BaseWorkerPool):
    """
    Its workers are started by somebody else.
    """

    def submit(self, request: SubmitRequest) -> None:
        pass


app = make_server(FOLDER, worker_pool=OwnWorkers(url=f"sqlite:///{FOLDER}/jobs.db"))
without = make_server(FOLDER, worker_pool=NoWorkers())
