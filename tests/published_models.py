"""
Rounds of a user's day: train on a worker, see `done`, load, predict. The model that
serves then has to be the one of that training, whatever else the workers do.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from chariots_core.app import App
from chariots_core.jobs import JobStatus
from chariots_core.testing import TestOpStoreClient
from tests.apps import pipelines

#: How many trainings on each backend; 600 are the goal of a run by hand.
ROUNDS: Final = int(os.environ.get("CHARIOTS_TEST_PUBLISH_ROUNDS", "60"))

#: Workers, threads that look up the job of the round beside the test's own, and other
#: jobs that wait or run at any time.
WORKERS: Final = 2
POLLERS: Final = 2
OTHERS: Final = 3

#: Seconds in which a round has to end.
_DEADLINE: Final = 30.0


def make_app(folder: Path, worker_pool: Any) -> App:
    """
    An app of a name that no other has, with a pipeline that trains and one that predicts.
    """
    return App(
        f"published-{uuid.uuid4().hex[:8]}",
        pipelines(),
        op_store=TestOpStoreClient(folder / "ops"),
        worker_pool=worker_pool,
    )


def stale_rounds(app: App, rounds: int = ROUNDS) -> list[tuple[int, float]]:
    """
    Train and predict *rounds* times on real workers under load.

    Returns:
        The rounds in which another model served than that of the training that was
        done: which round, and which model.
    """
    assert app.pool is not None
    stale = []
    with ExitStack() as stack:
        for _ in range(WORKERS):
            stack.enter_context(app.pool.spawn_worker().wait_ready())
        looked_up = stack.enter_context(_load(app))
        for number in range(1, rounds + 1):
            job_id = app.submit("train", float(number)).record.id
            looked_up[:] = [job_id]
            _wait_until_done(app, job_id)
            app.load("predict")
            served = app.run("predict", 1.0).value
            if served != number:
                stale.append((number, served))
    return stale


def _wait_until_done(app: App, job_id: str) -> None:
    deadline = time.monotonic() + _DEADLINE
    while (record := app.fetch_job(job_id)).status is not JobStatus.done:
        assert record.status is not JobStatus.failed, record
        assert (None, {}) == (record.value, record.versions)
        assert time.monotonic() < deadline, record


@contextmanager
def _load(app: App) -> Iterator[list[str]]:
    """
    Other jobs for the workers, and other readers of the jobs in the list that is given.
    """
    looked_up: list[str] = []
    over = threading.Event()
    faults: list[BaseException] = []

    def poll() -> None:
        while not over.is_set():
            for job_id in looked_up:
                app.fetch_job(job_id)

    def submit() -> None:
        waiting: list[str] = []
        while not over.is_set():
            waiting = [id_ for id_ in waiting if not app.job_store.get(id_).status.is_final]
            while len(waiting) < OTHERS:
                waiting.append(app.submit("echo", "other").record.id)
            over.wait(0.005)

    def guarded(call: Any) -> None:
        try:
            call()
        except BaseException as fault:
            faults.append(fault)

    threads = [
        threading.Thread(target=guarded, args=(call,), daemon=True)
        for call in (*[poll] * POLLERS, submit)
    ]
    for thread in threads:
        thread.start()
    try:
        yield looked_up
    finally:
        over.set()
        for thread in threads:
            thread.join(_DEADLINE)
    assert [] == faults
