"""
The two apps that are compared: pipelines of Chariots, and the Flask views that
somebody would write by hand to do the same work and give the same answer.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np
from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.server import PipelinesServer
from chariots_core.testing import TestOpStoreClient

FLOWERS = load_iris()
COMPONENTS = PCA(n_components=2).fit(FLOWERS.data)
CLASSIFIER = LogisticRegression(max_iter=500).fit(
    COMPONENTS.transform(FLOWERS.data), FLOWERS.target
)

IN, OUT = "__pipeline_input__", "__pipeline_output__"


class AddOne(BaseOp):
    """
    A number to the next one.
    """

    def execute(self, number: int) -> int:
        return number + 1


class IsOdd(BaseOp):
    """
    Whether a number is odd.
    """

    def execute(self, number: int) -> bool:
        return bool(number % 2)


class Reduce(BaseOp):
    """
    Measurements to components.
    """

    def execute(self, rows: list[list[float]]) -> Any:
        return COMPONENTS.transform(np.asarray(rows))


class Classify(BaseOp):
    """
    Components to species.
    """

    def execute(self, components: Any) -> Any:
        return CLASSIFIER.predict(components)


is_odd = Pipeline(
    [Node(AddOne(), [IN], ["added_number"]), Node(IsOdd(), ["added_number"], [OUT])], "is_odd"
)
iris = Pipeline(
    [Node(Reduce(), [IN], ["components"]), Node(Classify(), ["components"], [OUT])], "iris"
)


def make_ours() -> PipelinesServer:
    """
    The app of Chariots.
    """
    folder = os.environ.get("BENCH_OP_STORE") or tempfile.mkdtemp()
    return PipelinesServer([is_odd, iris], TestOpStoreClient(folder), import_name="bench")


def make_raw() -> Flask:
    """
    The same by hand.
    """
    app = Flask("bench")
    digest = "0123456789abcdef0123456789abcdef01234567"
    version = f"{digest}.{digest}.{digest}_2026-11-22T08:51:45.929138+00:00"

    def answered(output: Any, *nodes: str) -> ResponseReturnValue:
        return jsonify(
            {
                "pipeline_output": output,
                "versions": dict.fromkeys(nodes, version),
                "job_id": None,
                "job_status": "done",
            }
        )

    @app.post("/pipelines/is_odd/main")
    def odd_view() -> ResponseReturnValue:
        number = request.get_json()["pipeline_input"]
        return answered(bool((number + 1) % 2), "addone", "isodd")

    @app.post("/pipelines/iris/main")
    def iris_view() -> ResponseReturnValue:
        rows = np.asarray(request.get_json()["pipeline_input"])
        species = CLASSIFIER.predict(COMPONENTS.transform(rows))
        return answered(species.tolist(), "reduce", "classify")

    return app
