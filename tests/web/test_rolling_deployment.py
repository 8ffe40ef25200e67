"""
Two releases of one app over the same stores: each serves the models of its own code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import pytest

from tests.support import wait_until
from tests.web.releases import DEADLINE, Command, Release, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


#: A model of one coefficient: what it was trained on, divided by 1 + alpha.
SHOP = Template('''
import os

from sklearn.linear_model import Ridge

from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.server import PipelinesServer
from chariots_core.versioning import VersionedField, VersionedFieldDict, VersionType
from chariots_ml import MLMode
from chariots_ml.sklearn import SKSupervisedOp

INPUT, OUTPUT = "__pipeline_input__", "__pipeline_output__"


class Rows(BaseOp):
    """One row, and the target that comes in."""

    def execute(self, target):
        return [[1.0]], [target]


class Price(SKSupervisedOp):
    """A model."""

    model_class = VersionedField(Ridge, VersionType.MAJOR)
    model_parameters = VersionedFieldDict(
        VersionType.MAJOR, {"fit_intercept": False, "alpha": $alpha}
    )


class First(BaseOp):
    """A number of the first row."""

    def execute(self, rows):
        return round(float(rows[0]), 6)


app = PipelinesServer(
    [
        Pipeline(
            [Node(Rows(), [INPUT], ["X", "y"]), Node(Price(MLMode.FIT), ["X", "y"])],
            name="train",
            use_worker=True,
        ),
        Pipeline(
            [Node(Price(MLMode.PREDICT), [INPUT], "rows"), Node(First(), ["rows"], OUTPUT)],
            name="predict",
        ),
    ],
    worker_pool={"backend": "local", "url": os.environ["JOBS"]},
    import_name="shop",
)
''')


def shop(alpha: float) -> dict[str, str]:
    """
    The modules of a release.
    """
    return {"shop.py": SHOP.substitute(alpha=alpha)}


@pytest.fixture(name="v1")
def _v1(tmp_path: Path) -> Iterator[Release]:
    release = Release(tmp_path / "v1", tmp_path, shop(1.0))
    yield release
    release.close()


@pytest.fixture(name="v2")
def _v2(tmp_path: Path) -> Iterator[Release]:
    release = Release(tmp_path / "v2", tmp_path, shop(3.0))
    yield release
    release.close()


def train(server: Server, target: float) -> None:
    """
    Train on a worker.
    """
    server.done(server.submit("train", target))


def train_and_load(server: Server, target: float) -> dict[str, Any]:
    """
    Train on a worker and load; the answer.
    """
    train(server, target)
    loaded = server.load("predict")
    assert loaded.status_code == 200, loaded.text
    return dict(loaded.json())


def predicted(server: Server) -> float:
    """
    What a server predicts for one row.
    """
    return float(server.output_of("predict", [[1.0]]))


def started(release: Release) -> tuple[Server, Command]:
    """
    A server and a worker.
    """
    return release.serve(), release.worker()


def of_kind(document: dict[str, Any], pid: int) -> dict[str, Any]:
    """
    What a document says of the process *pid* or its children.
    """
    return next((each for each in document["processes"] if each["pid"] == pid), {})


def test_each_release_serves_its_own(v1: Release, v2: Release) -> None:
    """
    While two releases run side by side, each serves the newest model of its own code, also after
    the other one trains, and a rollback serves the newest of the old code.
    """
    old, old_worker = started(v1)
    train_and_load(old, 4.0)
    assert 2.0 == predicted(old)
    new = v2.serve()

    refused = new.load("predict")

    assert 409 == refused.status_code, refused.text
    commands = refused.json()["commands"]
    assert ["chariots call train --input @FILE --wait", "chariots load predict"] == commands
    assert 2.0 == predicted(old)
    assert new.run("predict", [[1.0]], use_worker=False).status_code == 409
    assert {"loaded": False, "generation": None} == {
        key: new.ready()["pipelines"]["predict"][key] for key in ("loaded", "generation")
    }

    # with the worker of the old code gone, the new one trains its own
    assert 0 == old_worker.stop()
    new_worker = v2.worker()
    newest = train_and_load(new, 8.0)
    assert (2.0, 2.0) == (predicted(new), predicted(old))

    old.sees("predict", lambda it: it["newest_generation"] == newest["generation"])
    before = old.document("predict")
    assert before["generation"] == newest["generation"] - 1
    assert "has no model for the code of op 'price' here" in str(before["behind"])
    behind = old.ready()["pipelines"]["predict"]
    assert (before["generation"], before["newest_generation"], before["behind"]) == (
        behind["generation"],
        behind["newest_generation"],
        behind["reason"],
    )
    assert new.document("predict")["behind"] is None

    # every process is listed by both, the old ones as those that do not follow
    old_worker = v1.worker()
    for server in (old, new):
        document = server.sees(
            "predict",
            lambda it: (
                {new_worker.popen.pid, old_worker.popen.pid}
                <= {each["pid"] for each in it["processes"]}
            ),
        )
        assert {
            "host": of_kind(document, new_worker.popen.pid)["host"],
            "pid": new_worker.popen.pid,
            "kind": "worker",
            "generation": newest["generation"],
            "follows": True,
        } == of_kind(document, new_worker.popen.pid)
        worker = of_kind(document, old_worker.popen.pid)
        assert ("worker", before["generation"], False) == (
            worker["kind"],
            worker["generation"],
            worker["follows"],
        )

    # the old release goes on training, and neither takes the other's model
    assert 0 == new_worker.stop()
    train_and_load(old, 10.0)
    assert (5.0, 2.0) == (predicted(old), predicted(new))
    new.sees("predict", lambda it: it["behind"] is not None)
    assert 2.0 == predicted(new)
    assert 0 == old_worker.stop()
    new_worker = v2.worker()
    train_and_load(new, 12.0)
    assert (5.0, 3.0) == (predicted(old), predicted(new))

    # rolled back
    assert (0, 0, 0) == (new_worker.stop(), new.stop(), old.stop())
    old = v1.serve()
    assert 5.0 == predicted(old)
    before = old.document("predict")
    assert 200 == old.load("predict").status_code
    assert 5.0 == predicted(old)
    assert before["newest_generation"] == old.document("predict")["newest_generation"]


def test_trainings_are_run_by_the_release_that_submitted_them(v1: Release, v2: Release) -> None:
    """
    While workers of two releases take jobs, each training gives the release that submitted
    it a model, which it can load right after.
    """
    old, _ = started(v1)
    new, _ = started(v2)

    for target in (4.0, 8.0):
        for server in (old, new):
            train_and_load(server, target)

    assert (4.0, 2.0) == (predicted(old), predicted(new))


def test_a_load_that_changes_nothing(v1: Release, v2: Release) -> None:
    """
    A load of the models that a release serves already makes no new generation, in either release.
    """
    old, new = v1.serve(), v2.serve()
    worker = v1.worker()
    train_and_load(old, 4.0)
    worker.stop()
    v2.worker()
    newest = train_and_load(new, 8.0)["generation"]

    again = [server.load("predict").json() for server in (old, new, old)]

    assert [newest] * 3 == [each["newest_generation"] for each in again]
    assert [newest - 1, newest, newest - 1] == [each["generation"] for each in again]
    assert (2.0, 2.0) == (predicted(old), predicted(new))


@pytest.mark.crash
def test_a_job_whose_model_only_the_other_release_has(v1: Release, v2: Release) -> None:
    """
    A job that a worker without a model takes is run by a worker that has one, and fails with
    reason ``version_conflict`` in bounded time once there is none.
    """
    server, old_worker = started(v1)
    generation = train_and_load(server, 4.0)["generation"]
    new_worker = v2.worker()

    def generations() -> list[int | None]:
        document = server.document("predict")
        workers = (old_worker, new_worker)
        return [of_kind(document, each.popen.pid).get("generation") for each in workers]

    wait_until(lambda: [generation, 0] == generations(), DEADLINE, lambda: str(generations()))

    # the one that has no model takes the job first
    old_worker.halt()
    job = server.submit("predict", [[2.0]])
    wait_until(
        lambda: server.job(job)["reason"] == "version_conflict", DEADLINE, "it is handed back"
    )
    assert "deferred" == server.job(job)["status"]
    old_worker.go_on()
    new_worker.halt()
    assert 4.0 == server.done(job)
    new_worker.go_on()

    old_worker.kill()
    job = server.submit("predict", [[1.0]])

    ended = server.ended(job, 100.0)
    assert ("failed", "version_conflict") == (ended["status"], ended["reason"])
