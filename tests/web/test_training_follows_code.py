"""
A training fits what the code declares, and a changed declaration is never served in silence.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

import pytest
from sklearn import linear_model

from tests.web.releases import Release, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


SHOP = Template('''
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier

from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.server import PipelinesServer
from chariots_core.versioning import VersionedField, VersionedFieldDict, VersionType
from chariots_ml import MLMode
from chariots_ml.sklearn import SKSupervisedOp

INPUT, OUTPUT = "__pipeline_input__", "__pipeline_output__"


class Rows(BaseOp):
    """Rows and targets."""

    def execute(self, data):
        return data["X"], data["y"]


class Kind(SKSupervisedOp):
    """Its class is a plain attribute."""

    model_class = $kind
    model_parameters = {"random_state": 0}
    predict_function = "decision_function"


class Versioned(SKSupervisedOp):
    """Its class counts in the version."""

    model_class = VersionedField($kind, VersionType.MAJOR)
    model_parameters = {"random_state": 0}
    predict_function = "decision_function"


class Minor(SKSupervisedOp):
    """Its parameters count in the version, below MAJOR."""

    model_class = Ridge
    model_parameters = VersionedFieldDict(VersionType.MINOR, {"alpha": $alpha})


class Built(SKSupervisedOp):
    """A function builds it."""

    def _init_model(self):
        return Ridge(alpha=$alpha)


pipelines = []
for op in (Kind, Versioned, Minor, Built):
    name = op.__name__.lower()
    fit = Node(op(MLMode.FIT), ["X", "y"])
    pipelines += [
        Pipeline([Node(Rows(), [INPUT], ["X", "y"]), fit], name=f"train_{name}"),
        Pipeline([Node(op(MLMode.PREDICT), [INPUT], OUTPUT)], name=name),
    ]

app = PipelinesServer(pipelines, import_name="shop")
''')

DATA = {"X": [[0.0], [1.0], [2.0], [3.0]], "y": [0, 0, 1, 1]}
ROWS = [[0.5], [2.5]]

BEFORE = {"kind": "LogisticRegression", "alpha": 1.0}
AFTER = {"kind": "SGDClassifier", "alpha": 500.0}


def expected(code: Mapping[str, Any]) -> dict[str, list[float]]:
    """
    What models of that code predict.
    """
    model = getattr(linear_model, code["kind"])(random_state=0).fit(DATA["X"], DATA["y"])
    ridge = linear_model.Ridge(alpha=code["alpha"]).fit(DATA["X"], DATA["y"])
    scores, values = model.decision_function(ROWS).tolist(), ridge.predict(ROWS).tolist()
    return {"kind": scores, "versioned": scores, "minor": values, "built": values}


@pytest.fixture(name="release")
def _release(tmp_path: Path) -> Iterator[Release]:
    release = Release(tmp_path / "code", tmp_path, {"shop.py": SHOP.substitute(BEFORE)})
    (tmp_path / "code" / "FILE").write_text(json.dumps(DATA))
    yield release
    release.close()


def follow(release: Release, server: Server, commands: list[str]) -> None:
    """
    Run commands of an answer as they stand.
    """
    for command in commands:
        program, *arguments = shlex.split(command)
        assert "chariots" == program
        code, output = release.command(*arguments, f"--url={server.url}").ends()
        assert 0 == code, output


def train_and_load(server: Server, name: str) -> None:
    """
    Train a model in the server, save it and let it serve.
    """
    assert 200 == server.run(f"train_{name}", DATA).status_code
    assert 201 == server.save(f"train_{name}").status_code
    assert 200 == server.load(name).status_code


def outputs(server: Server) -> dict[str, Any]:
    """
    What each pipeline predicts.
    """
    return {name: pytest.approx(server.output_of(name, ROWS)) for name in expected(BEFORE)}


def test_changed_code_is_trained_and_never_served_in_silence(release: Release) -> None:
    """
    A model whose code has changed is refused or served with a warning, and the commands of the
    answer train and serve a model of the code as it is now.
    """
    server = release.serve()
    for name in expected(BEFORE):
        train_and_load(server, name)
    assert expected(BEFORE) == outputs(server)
    assert 0 == server.stop()

    release.write({"shop.py": SHOP.substitute(AFTER)})
    server = release.serve()

    # a model of another class never serves
    for name, blocker in {
        "kind": "it is a sklearn.linear_model.LogisticRegression, and the code declares a "
        "sklearn.linear_model.SGDClassifier",
        "versioned": "op 'versioned' was never trained with this code",
    }.items():
        refused = server.run(name, ROWS)
        assert (409, False) == (refused.status_code, server.document(name)["loaded"])
        assert blocker in refused.json()["detail"]
        assert name in server.ready()["pipelines"]
    # one with other parameters does, with a warning
    for name in ("minor", "built"):
        assert pytest.approx(expected(BEFORE)[name]) == server.output_of(name, ROWS)
        (warning,) = server.document(name)["warnings"]
        assert "alpha was not set, and is 500.0 in the code" in warning
        assert f"op {name!r}" in server.output

    for name in ("kind", "versioned"):
        follow(release, server, server.document(name)["commands"])
    for name in ("minor", "built"):
        train_and_load(server, name)
    assert expected(AFTER) == outputs(server)
    assert [[]] * 4 == [server.document(name)["warnings"] for name in expected(AFTER)]
