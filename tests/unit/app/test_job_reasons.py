"""
The reason of a job that failed: the user's code, or the framework around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from chariots_core import errors
from chariots_core.app import App
from chariots_core.jobs import Reason
from chariots_core.pipelines import Node, Pipeline, PipelineCallback
from chariots_core.testing import TestOpStoreClient
from chariots_core.workers.contracts import JobInput
from chariots_core.workers.isolation.failures import Failure, failure_of
from tests.apps import IN, OUT, AddOne, Constant, Learn, Model


class Unsaved(Learn):
    """
    Trains, and cannot be saved.
    """

    def serialize(self) -> bytes:
        if self.learned:
            raise OSError("no bytes")
        return b"0.0"


class Raising(PipelineCallback):
    """
    Raises as the run begins or ends.
    """

    def __init__(self, error: Exception, *, at_the_end: bool) -> None:
        self.error = error
        self.at_the_end = at_the_end

    def before_execution(self, pipeline: Pipeline, args: Sequence[Any]) -> None:
        if not self.at_the_end:
            raise self.error

    def after_execution(self, pipeline: Pipeline, args: Sequence[Any], output: Any) -> None:
        if self.at_the_end:
            raise self.error


Make = Callable[..., App]


@pytest.fixture(name="make")
def _make(tmp_path: Path) -> Iterator[Make]:
    made: list[App] = []

    def make(ops: Mapping[str, Any] | None = None, **options: Any) -> App:
        ops = ops or {"add": AddOne(), "train": Learn(), "predict": Model()}
        pipelines = [Pipeline([Node(op, [IN], OUT)], name) for name, op in ops.items()]
        app = App("reasons", pipelines, op_store=TestOpStoreClient(tmp_path), **options)
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


def failure(app: App, pipeline: str, input_json: str = "4") -> Failure:
    """
    How a job of *pipeline* fails.
    """
    job = JobInput(
        job_id="j", attempt=1, pipeline=pipeline, input_json=input_json, report=lambda _: None
    )
    with pytest.raises(Exception) as caught:
        app.execute_job(job)
    return failure_of(caught.value)


@pytest.mark.parametrize("at_the_end", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        errors.VersionError("x"),
        errors.StoreUnavailable("x"),
        errors.ArtifactCorrupt("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_callbacks_are_the_users(make: Make, error: Exception, at_the_end: bool) -> None:
    """
    What a callback raises is the user's error, also if its class is one of Chariots.
    """
    app = make(callbacks=[Raising(error, at_the_end=at_the_end)])

    found = failure(app, "add")

    assert (Reason.USER_ERROR, None) == (found.reason, found.error.node)


def test_an_input_that_the_pipeline_does_not_take(tmp_path: Path) -> None:
    """
    A pipeline that takes no input and gets one is the caller's error, not tried again.
    """
    pipeline = Pipeline([Node(Constant(), [], OUT)], "constant")
    with App("reasons", [pipeline], op_store=TestOpStoreClient(tmp_path)) as app:
        found = failure(app, "constant")

    assert (Reason.USER_ERROR, False, None) == (found.reason, found.retryable, found.error.node)


def test_a_model_without_bytes(make: Make, tmp_path: Path) -> None:
    """
    A saved model whose bytes are lost is a failure of its own kind, before any op ran.
    """
    app = make()
    app.run("train", 4.0)
    app.save("train")
    app.load("predict")
    app.close()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "db" not in path.suffix]
    for path in files:
        path.unlink()

    found = failure(make(), "predict")

    assert [] != files
    assert (Reason.MODEL_UNAVAILABLE, False, None) == (
        found.reason,
        found.retryable,
        found.error.node,
    )


def test_a_model_that_cannot_be_saved(make: Make) -> None:
    """
    If a model gives no bytes after the run, its job fails because nothing can be published.
    """
    found = failure(make({"train": Unsaved()}), "train")

    assert (Reason.PUBLICATION_FAILED, False) == (found.reason, found.retryable)
    assert "no bytes" in found.error.message


@pytest.mark.parametrize("method", ["revision", "put_blob"])
def test_a_fault_of_the_framework(make: Make, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """
    A fault of the framework's own around the run is not the user's.
    """

    def fault(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    app = make()
    app.open()
    monkeypatch.setattr(app.op_store, method, fault)

    found = failure(app, "train")

    assert (Reason.FRAMEWORK_ERROR, False) == (found.reason, found.retryable)
    assert "hunter2" not in str(found)


def test_an_input_that_is_not_json(make: Make) -> None:
    """
    If a stored input is not JSON, the job fails before the run, not for its result.
    """
    found = failure(make(), "add", "{")

    assert Reason.FRAMEWORK_ERROR == found.reason
    assert "input of job 'j' is not JSON" in found.error.message
