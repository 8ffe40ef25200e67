"""
A store, an app of functions, and runners that are closed at the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from chariots_core.jobs.record import JobRecord, NewJob
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.workers.contracts import RunnerSettings, RunOutcome
from chariots_core.workers.runner import JobRunner
from tests.support import wait_until
from tests.unit.workers_runner.kit import PIPELINES, FunctionApp


class MakeRunner(Protocol):
    def __call__(self, **settings: Any) -> JobRunner: ...


class Jobs:
    """
    Submits jobs of the kit, and reads them.
    """

    def __init__(self, store: SqlJobStore) -> None:
        self.store = store

    def submit(self, pipeline: str, value: Any = None, **options: Any) -> str:
        new = NewJob(pipeline=pipeline, backend="local", input_json=json.dumps(value), **options)
        return self.store.create(new).record.id

    def run(
        self, runner: JobRunner, pipeline: str, value: Any = None, **options: Any
    ) -> tuple[RunOutcome, JobRecord]:
        job_id = self.submit(pipeline, value, **options)
        return runner.run(job_id), self.store.get(job_id)

    def value(self, runner: JobRunner, pipeline: str, value: Any = None) -> Any:
        outcome, record = self.run(runner, pipeline, value)
        assert RunOutcome.DONE is outcome, record.error
        return record.value

    def output(self, record: JobRecord) -> str:
        return "".join(
            event.data["text"] for event in self.store.events(record.id) if event.kind == "output"
        )


@pytest.fixture(name="store_url")
def _store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture(name="store")
def _store(store_url: str) -> Iterator[SqlJobStore]:
    store = SqlJobStore(store_url, app="kit")
    yield store
    store.close()


@pytest.fixture(name="app")
def _app(store: SqlJobStore) -> FunctionApp:
    app = FunctionApp(PIPELINES)
    app.store = store
    return app


@pytest.fixture(name="jobs")
def _jobs(store: SqlJobStore) -> Jobs:
    return Jobs(store)


@pytest.fixture(name="make_runner")
def _make_runner(app: FunctionApp) -> Iterator[MakeRunner]:
    """
    Runners that fork unless told otherwise: a test process may have threads.
    """
    runners: list[JobRunner] = []

    def make(**settings: Any) -> JobRunner:
        chosen = RunnerSettings(**{"start_method": "fork", **settings})
        runners.append(JobRunner(app, worker_id="worker-1", settings=chosen))
        # Before the test starts threads of its own.
        runners[-1].prepare()
        return runners[-1]

    yield make
    for runner in runners:
        runner.close()


@pytest.fixture(name="runner")
def _runner(make_runner: MakeRunner) -> JobRunner:
    """
    A runner as it is by default: warm.
    """
    return make_runner()


@pytest.fixture(autouse=True)
def _no_child_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """
    Whatever a test does, none of its processes is left, not even a zombie.
    """
    before = set(psutil.Process().children(recursive=True))
    yield
    # Runners are closed by their fixture, which was made after this one.
    wait_until(
        lambda: not set(psutil.Process().children(recursive=True)) - before,
        message=lambda: f"children left: {psutil.Process().children(recursive=True)}",
    )
