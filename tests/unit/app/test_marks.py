"""
Jobs of ops that keep a state of their own making: what they may change, and what is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chariots_core.app import App
from chariots_core.op_store.values import Manifest
from chariots_core.pipelines import LoadableOp, Node, Pipeline
from chariots_core.testing import TestOpStoreClient
from chariots_core.workers.contracts import JobInput, JobOutput
from chariots_core.workers.isolation.failures import failure_of
from tests.apps import IN, OUT


class Note(LoadableOp):
    """
    Keeps the last text that it is told to, and says what it keeps.
    """

    kept = ""

    def execute(self, words: dict[str, Any]) -> str:
        if "keep" in words:
            self.kept = words["keep"]
        if words.get("mark"):
            self.mark_trained()
        if words.get("raise"):
            raise ValueError("no")
        return self.kept

    def serialize(self) -> bytes:
        return self.kept.encode()

    def load(self, serialized_object: bytes) -> None:
        self.kept = serialized_object.decode()


class Learnt(Note):
    """
    One that trains, and leaves its version to the framework.
    """

    name = "note"
    trains = True


class Picky(Note):
    """
    One that trains, and not on every text.
    """

    trains = True

    def execute(self, text: Any) -> str:
        if text == "bad":
            raise ValueError("no")
        return str(text)


@pytest.fixture(name="app")
def _app(tmp_path: Path) -> Iterator[App]:
    pipelines = [
        Pipeline([Node(op, [IN], OUT)], name) for op, name in ((Note(), "say"), (Learnt(), "learn"))
    ]
    both = [Node(Note(), [IN], "text"), Node(Picky(), ["text"], OUT)]
    pipelines.append(Pipeline(both, "both"))
    with App("marks", pipelines, op_store=TestOpStoreClient(tmp_path)) as app:
        yield app


def run(app: App, pipeline: str, words: str, job_id: str = "job") -> JobOutput:
    """
    One attempt of a job, as a warm worker runs it.
    """
    return app.execute_job(
        JobInput(
            job_id=job_id, attempt=1, pipeline=pipeline, input_json=words, report=lambda _: None
        )
    )


def test_each_training_has_a_version(app: App) -> None:
    """
    An op that trains and does not mark that has a new version after each training all the same.
    """
    jobs = []
    for number in range(3):
        jobs.append(run(app, "learn", '{"keep": "same"}', f"job-{number}"))
        app.loaded.publish(Manifest.from_json(jobs[-1].manifest_json or ""))

    assert 3 == len({job.versions["note"] for job in jobs})


@pytest.mark.parametrize(
    ("words", "reason", "text"),
    [
        ('{"keep": "x", "mark": true}', "user_error", "let `trains` of Note be True"),
        ('{"keep": "x", "mark": true, "raise": true}', "user_error", "no"),
    ],
    ids=["returns", "raises"],
)
def test_a_mark_without_trains_fails_its_job_only(
    app: App, words: str, reason: str, text: str
) -> None:
    """
    A job whose op marks itself as trained without ``trains`` fails, and the next job of the worker
    sees the state that serves.
    """
    with pytest.raises(Exception) as caught:
        run(app, "say", words)
    failure = failure_of(caught.value)

    assert (reason, True) == (failure.reason, text in failure.error.message)
    assert '""' == run(app, "say", "{}").value_json


def test_a_failed_training_leaves_no_other_op_changed(app: App) -> None:
    """
    An op that marks itself in a training that fails is not published by the next training.
    """
    with pytest.raises(ValueError, match="no"):
        run(app, "both", '{"keep": "bad", "mark": true}')
    # the failed job holds the lease no longer
    trained = Manifest.from_json(run(app, "both", "{}", "next").manifest_json or "").trained

    assert ["picky"] == list(trained)
