"""
Where models are loaded, by a worker that runs each job in a process of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chariots_core.app import App
from chariots_core.pipelines import Node, Pipeline
from chariots_core.testing import TestOpStoreClient
from chariots_core.workers.contracts import RunnerSettings, RunOutcome
from chariots_core.workers.runner import JobRunner
from tests.apps import IN, OUT, Model, close_all, track


class Noted(Model):
    """
    A model that notes where it was loaded.
    """

    notes: Path

    @property
    def name(self) -> str:
        return "model"

    def load(self, serialized_object: bytes) -> None:
        with self.notes.open("a") as file:
            file.write(f"{os.getpid()}\n")
        super().load(serialized_object)


class NotedLearn(Noted):
    """
    The same model, which learns the number that it is given.
    """

    @property
    def trains(self) -> bool:
        return True

    def execute(self, value: float) -> float:
        self.learned = value
        self.mark_trained()
        return value


def make_app(folder: Path) -> App:
    """
    A pipeline that trains the model, and one that uses it.
    """
    ops = {"train": NotedLearn(), "predict": Noted()}
    for op in ops.values():
        op.notes = folder / "notes"
    pipelines = [Pipeline([Node(op, [IN], OUT)], name) for name, op in ops.items()]
    pool = {"backend": "local", "url": f"sqlite:///{folder}/jobs.db"}
    return track(App("noted", pipelines, op_store=TestOpStoreClient(folder), worker_pool=pool))


def loaded_by(folder: Path) -> list[int]:
    """
    The processes that have loaded the model since the last look, one for each time.
    """
    notes = folder / "notes"
    pids = [int(line) for line in notes.read_text().split()] if notes.exists() else []
    notes.write_text("")
    return pids


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def test_fresh_children_share_what_their_worker_loaded(tmp_path: Path) -> None:
    """
    A worker that forks for each job loads once for all of them, and once more after each
    activation: no job does it in its own time.
    """
    web, worker = make_app(tmp_path), make_app(tmp_path)
    settings = RunnerSettings(isolation="fresh", start_method="fork")
    with JobRunner(worker, worker_id="w", settings=settings) as runner:
        for learned in (3.0, 5.0):
            web.run("train", learned)
            web.save("train")
            web.load("predict")
            loaded_by(tmp_path)
            values = []
            for _ in range(3):
                job_id = web.submit("predict", 2.0).record.id
                assert RunOutcome.DONE is runner.run(job_id)
                values.append(web.fetch_job(job_id).value)

            assert [2 * learned] * 3 == values
            assert {os.getpid()} == set(loaded := loaded_by(tmp_path))
            assert len(loaded) <= 2, "at most once for each pipeline"
