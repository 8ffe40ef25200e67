"""
Iris: one pipeline that trains two models on a worker, one that serves them.

Serve it from this folder, and call it from another terminal::

    chariots serve app:app --job-workers 1
    chariots call train_iris --wait
    chariots load predict_iris
    chariots call predict_iris --input '[[5.1, 3.5, 1.4, 0.2]]'
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline

from chariots.ml import MLMode
from chariots.ml.sklearn import SKSupervisedOp, SKUnsupervisedOp
from chariots.pipelines import Pipeline, PipelinesServer
from chariots.pipelines.nodes import Node, ReservedNodes
from chariots.pipelines.ops import BaseOp
from chariots.testing import TestOpStoreClient
from chariots.versioning import VersionedFieldDict, VersionType
from chariots_core.progress import report


class IrisData(BaseOp):
    """
    The 150 flowers: four measurements in centimetres each, and their species.
    """

    def execute(self) -> tuple[Any, Any]:
        flowers = load_iris()
        return flowers.data, flowers.target


class IrisPCA(SKUnsupervisedOp):
    """
    Four measurements to two components.
    """

    model_class = PCA
    model_parameters = VersionedFieldDict(VersionType.MAJOR, {"n_components": 2})


class IrisClassifier(SKSupervisedOp):
    """
    Two components to the number of a species.
    """

    model_class = LogisticRegression
    model_parameters = VersionedFieldDict(VersionType.MAJOR, {"C": 10.0, "max_iter": 500})


class CrossValidation(BaseOp):
    """
    How often the two models are right about flowers they have not seen.

    Fifty folds, so that there is some progress to look at.
    """

    folds = 50

    def execute(self, measurements: Any, species: Any) -> float:
        models = make_pipeline(PCA(n_components=2), LogisticRegression(C=10.0, max_iter=500))
        right = 0
        folds = StratifiedKFold(self.folds, shuffle=True, random_state=0)
        for done, (seen, unseen) in enumerate(folds.split(measurements, species), start=1):
            fitted = clone(models).fit(measurements[seen], species[seen])
            right += int(np.sum(fitted.predict(measurements[unseen]) == species[unseen]))
            report(done, self.folds, "cross-validation")
        return right / len(species)


class SpeciesName(BaseOp):
    """
    The number of a species to its name.
    """

    def execute(self, numbers: Any) -> list[str]:
        names = load_iris().target_names
        return [str(names[number]) for number in numbers]


train_iris = Pipeline(
    [
        Node(IrisData(), output_nodes=["measurements", "species"]),
        Node(
            CrossValidation(),
            input_nodes=["measurements", "species"],
            output_nodes=ReservedNodes.pipeline_output,
        ),
        Node(IrisPCA(MLMode.FIT_PREDICT), ["measurements"], ["components"]),
        Node(IrisClassifier(MLMode.FIT), ["components", "species"]),
    ],
    name="train_iris",
    use_worker=True,
)

predict_iris = Pipeline(
    [
        Node(IrisPCA(MLMode.PREDICT), [ReservedNodes.pipeline_input], ["components"]),
        Node(IrisClassifier(MLMode.PREDICT), ["components"], ["number"]),
        Node(SpeciesName(), ["number"], ReservedNodes.pipeline_output),
    ],
    name="predict_iris",
)

app = PipelinesServer(
    [train_iris, predict_iris],
    op_store_client=TestOpStoreClient(os.environ.get("IRIS_OP_STORE", ".chariots/op_store")),
    # What the environment says of workers holds, if it says something.
    worker_pool=None if os.environ.get("CHARIOTS_WORKER_POOL") else "local",
    import_name="iris",
)
