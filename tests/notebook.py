"""
A process that plays a notebook: one cell, run again and again, defines ops and an app.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

#: The built-in backend, whose idle workers look often.
LOCAL: Final[Mapping[str, Any]] = {"backend": "local", "poll_interval": 0.05}

#: What a process needs that plays a notebook: a cell is run in one namespace, again and again.
NOTEBOOK: Final = """
import json
import logging
import sys

from chariots_core.app import apps_of_this_process
from chariots_core.testing import WorkerContext
from tests.support import wait_until

logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")

POOL = json.loads(sys.argv[1])
CELL = '''
import time
from pathlib import Path

from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.server import PipelinesServer
from chariots_core.testing import TestOpStoreClient, WorkerContext


class Which(BaseOp):
    def execute(self, value):
        return VERSION


class Hold(BaseOp):
    def execute(self, name):
        Path(name).touch()
        while not Path("gate").exists():
            time.sleep(0.01)
        return VERSION


def pipeline(op):
    return Pipeline([Node(op, ["__pipeline_input__"], "__pipeline_output__")], op.name)


server = PipelinesServer(
    [pipeline(Which()), pipeline(Hold())],
    worker_pool=POOL,
    op_store_client=TestOpStoreClient("ops"),
)
app = server.chariots
'''
SPAWNED = "worker = app.pool.spawn_worker(start_method='fork').wait_ready()"
CONTEXT = "context = WorkerContext(app).__enter__()"

notebook = {"__name__": "__main__", "POOL": POOL}


def run_cell(version, *more):
    source = "\\n".join((CELL.replace("VERSION", str(version)), *more))
    exec(compile(source, f"<cell {version}>", "exec"), notebook)
    return notebook["app"]


def submit(app, pipeline="which", value=0):
    return app.submit(pipeline, value).record.id


def results(app, ids):
    wait_until(lambda: not any(app.job_store.counts().values()), 30, "jobs are queued")
    return [app.fetch_job(job_id).value_json for job_id in ids]


def say(*facts):
    print(json.dumps(facts))


"""


def play(folder: Path, script: str, worker_pool: Mapping[str, Any] = LOCAL) -> tuple[Any, str]:
    """
    Run *script* in a process that plays a notebook.

    Args:
        folder: where the process runs.
        script: lines of Python; it calls ``say`` once.
        worker_pool: the backend of the notebook's app, with its options.

    Returns:
        The arguments of ``say``, and the log.
    """
    (folder / "notebook.py").write_text(NOTEBOOK + script)
    done = subprocess.run(
        [sys.executable, "notebook.py", json.dumps(worker_pool)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr
