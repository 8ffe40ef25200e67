"""
A worker in a process of its own, for tests that kill it.

``python -m tests.unit.workers_runner.program URL LEDGER SETTINGS`` takes jobs
until it is killed, or until SIGTERM. SETTINGS are a JSON object for
`RunnerSettings`; with ``"die_in_publish"`` the process kills itself there, with
``"no_death_signal"`` the system has no such thing.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from pathlib import Path

from chariots_core.jobs.record import JobRecord
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.workers.contracts import RunnerSettings
from chariots_core.workers.isolation import child
from chariots_core.workers.runner import JobRunner
from tests.unit.workers_runner.kit import PIPELINES, FunctionApp


class WorkerApp(FunctionApp):
    """
    Notes what it publishes in a file.
    """

    ledger: Path
    die_in_publish = False

    def publish(self, record: JobRecord) -> None:
        if self.die_in_publish:
            os.kill(os.getpid(), signal.SIGKILL)
        with self.ledger.open("a") as file:
            file.write(f"published {record.id} {record.attempt}\n")


def main(url: str, ledger: str, settings: str) -> None:
    app = WorkerApp(PIPELINES)
    app.store = SqlJobStore(url, app="kit")
    app.ledger = Path(ledger)
    options = json.loads(settings)
    app.die_in_publish = options.pop("die_in_publish", False)
    if options.pop("no_death_signal", False):
        vars(child)["die_with_parent"] = lambda parent: False
    worker_id = f"worker-{os.getpid()}"
    with JobRunner(app, worker_id=worker_id, settings=RunnerSettings(**options)) as runner:
        signal.signal(signal.SIGTERM, lambda *_: runner.stop())
        runner.prepare()
        print("ready", flush=True)
        while not runner.stopping:
            outcome = runner.run_next(backend="local", queues=["default"])
            if outcome is None:
                select.select([], [], [], 0.01)
            else:
                print(outcome.value, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
