"""
Where and when pipelines are loaded, before a job asks for them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chariots_core.jobs_sql import SqlJobStore
from chariots_core.workers.contracts import RunnerSettings
from chariots_core.workers.runner import JobRunner
from tests.unit.workers_runner.conftest import Jobs
from tests.unit.workers_runner.kit import OPENING_SPEC, OpeningApp


@pytest.fixture(name="opening")
def _opening(store: SqlJobStore) -> OpeningApp:
    app = OpeningApp()
    app.store = store
    return app


@contextmanager
def running(app: OpeningApp, **settings: Any) -> Iterator[JobRunner]:
    chosen = RunnerSettings(**{"start_method": "fork", **settings})
    with JobRunner(app, worker_id="w", settings=chosen) as runner:
        yield runner


@pytest.mark.parametrize(
    "settings",
    [{}, {"start_method": "spawn", "app_spec": OPENING_SPEC}],
    ids=["fork", "spawn"],
)
def test_warm_child_loads_before_its_first_job(
    settings: dict[str, Any], opening: OpeningApp, jobs: Jobs
) -> None:
    """
    A warm child loads as it starts, and the worker itself loads nothing.
    """
    with running(opening, **settings) as runner:
        opened = jobs.value(runner, "opened")

        assert {jobs.value(runner, "pid")} == set(opened)
    assert [] == opening.opened_in


def test_fresh_child_is_a_copy_of_a_loaded_worker(opening: OpeningApp, jobs: Jobs) -> None:
    """
    A worker that makes a child for each job loads once for all of them.
    """
    with running(opening, isolation="fresh") as runner:
        opened = jobs.value(runner, "opened")

    assert os.getpid() == opened[0]


@pytest.mark.parametrize("isolation", ["warm", "fresh"])
def test_trouble_is_left_to_the_jobs(isolation: str, opening: OpeningApp, jobs: Jobs) -> None:
    """
    A store that is out of reach as a child starts does not end the worker.
    """
    opening.open_error = OSError("no store today")

    with running(opening, isolation=isolation) as runner:
        runner.prepare()

        assert 1 == jobs.value(runner, "echo", 1)
