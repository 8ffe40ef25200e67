"""
A small app for tests of pools and workers: pipelines are plain functions.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chariots_core.jobs import JobRecord, JobStore
from chariots_core.local import LocalWorkerPool
from chariots_core.workers import BaseWorkerPool, JobInput, JobOutput
from chariots_core.workers.plugins import PluginManager, WorkerPoolSpec

Function = Callable[[Any], Any]


def echo(value: Any) -> Any:
    """
    Gives its input back.
    """
    return value


def pid(value: Any) -> list[int]:
    """
    Tells who runs it: the process, and the one above.
    """
    del value
    return [os.getpid(), os.getppid()]


def note(value: Mapping[str, Any]) -> Any:
    """
    Notes its start in a file, takes a while, and notes its end.
    """
    path = Path(value["path"])
    with path.open("a") as file:
        file.write(f"start {value.get('name', '')}\n")
    if "until" in value:
        while not Path(value["until"]).exists():
            time.sleep(0.01)
    with path.open("a") as file:
        file.write(f"end {value.get('name', '')}\n")
    return value.get("name")


def suicide(value: Any) -> None:
    """
    Kills the process that runs it.
    """
    del value
    os.kill(os.getpid(), signal.SIGKILL)


PIPELINES: Mapping[str, Function] = {
    function.__name__: function for function in (echo, pid, note, suicide)
}


class PlainApp:
    """
    What a pool and a worker need of an app, over plain functions.
    """

    def __init__(
        self,
        name: str = "plain",
        *,
        worker_pool: WorkerPoolSpec | None = None,
        pipelines: Mapping[str, Function] = PIPELINES,
        plugins: PluginManager | None = None,
        import_spec: str | None = None,
    ) -> None:
        self.name = name
        self.plugins = plugins or PluginManager()
        self.import_spec = import_spec
        self.events: list[tuple[str, str]] = []
        self._pipelines = pipelines
        pool = self.plugins.create_worker_pool(worker_pool)
        assert pool is not None
        self.pool: BaseWorkerPool = pool.bind(self)

    @property
    def job_store(self) -> JobStore:
        return self.pool.job_store()

    @property
    def pipeline_names(self) -> frozenset[str]:
        return frozenset(self._pipelines)

    def execute_job(self, job: JobInput) -> JobOutput:
        value = None if job.input_json is None else json.loads(job.input_json)
        return JobOutput(value_json=json.dumps(self._pipelines[job.pipeline](value)))

    def publish(self, record: JobRecord) -> None:
        del record

    def report_presence(self, kind: str) -> None: ...

    def withdraw_presence(self) -> None: ...

    def is_for_other_code(self, record: JobRecord) -> bool:
        return record.code is not None and record.code != "here"

    def is_served_elsewhere(self, pipeline: str) -> bool:
        del pipeline
        return False

    def dispatch(self, record: JobRecord) -> None:
        self.pool.dispatch(record)

    def emit(self, event_name: str, record: JobRecord) -> None:
        self.events.append((event_name, record.id))
        self.plugins.job_event(self.name, event_name, record)


def local_app(folder: Path, name: str = "plain", **options: Any) -> PlainApp:
    """
    An app on the backend `local`, with its jobs in *folder*.
    """
    pool = LocalWorkerPool(url=f"sqlite:///{folder}/jobs.db")
    return PlainApp(name, worker_pool=pool, **options)
