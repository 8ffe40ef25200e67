"""
LightGBM and XGBoost: served without configuration.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chariots_core.app import App
from chariots_core.errors import UntrustedArtifact
from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.testing import TestOpStoreClient
from chariots_ml import MLMode
from chariots_ml.serializers import SkopsSerializer
from chariots_ml.sklearn import SKSupervisedOp

IN, OUT = "__pipeline_input__", "__pipeline_output__"

X, Y = load_iris(return_X_y=True)


def library(name: str) -> Any:
    """
    A library of the setup; a machine that lacks it skips the test, except in CI.
    """
    if importlib.util.find_spec(name) is None and not os.environ.get("CI"):
        pytest.skip(f"{name} is not installed")
    return importlib.import_module(name)


def lightgbm(kind: str, **options: Any) -> Any:
    """
    A quiet estimator of LightGBM.
    """
    return getattr(library("lightgbm"), kind)(n_estimators=4, verbose=-1, n_jobs=1, **options)


def xgboost(kind: str, **options: Any) -> Any:
    """
    A small estimator of XGBoost.
    """
    return getattr(library("xgboost"), kind)(n_estimators=4, n_jobs=1, **options)


MODELS: dict[str, Callable[[], Any]] = {
    "LGBMClassifier": lambda: lightgbm("LGBMClassifier"),
    "LGBMRegressor": lambda: lightgbm("LGBMRegressor"),
    "XGBClassifier": lambda: xgboost("XGBClassifier"),
    "XGBRegressor": lambda: xgboost("XGBRegressor", booster="dart"),
    "XGBRFClassifier": lambda: xgboost("XGBRFClassifier"),
    "a step": lambda: make_pipeline(StandardScaler(), lightgbm("LGBMClassifier")),
    "a search": lambda: GridSearchCV(xgboost("XGBClassifier"), {"max_depth": [1, 2]}, cv=2),
}


class Flowers(BaseOp):
    def execute(self) -> Any:
        return X, Y


@pytest.mark.parametrize("name", MODELS)
def test_boosters_are_served_as_they_were_trained(name: str, tmp_path: Path) -> None:
    """
    A model that an app trained, saved and loaded predicts what it does by itself.
    """
    make = MODELS[name]
    wanted = np.asarray(make().fit(X, Y).predict(X)).tolist()

    class Model(SKSupervisedOp):
        def _init_model(self) -> Any:
            return make()

    train = Pipeline(
        [Node(Flowers(), output_nodes=["x", "y"]), Node(Model(MLMode.FIT), ["x", "y"])], "train"
    )
    predict = Pipeline([Node(Model(MLMode.PREDICT), [IN], OUT)], "predict")
    with App("boosters", [train, predict], op_store=TestOpStoreClient(tmp_path)) as app:
        app.run("train")
        app.save("train")
        app.load("predict")

        assert wanted == np.asarray(app.run("predict", X.tolist()).value).tolist()


@pytest.mark.filterwarnings("ignore:The argument 'eval_set' is deprecated")
def test_early_stopping_is_saved() -> None:
    """
    What a training with early stopping leaves behind is trusted as well.
    """
    lgb, xgb = library("lightgbm"), library("xgboost")
    models = [
        lightgbm("LGBMClassifier").fit(
            X[::2],
            Y[::2],
            eval_set=[(X[1::2], Y[1::2])],
            callbacks=[lgb.early_stopping(2, verbose=False)],
        ),
        xgboost("XGBClassifier", callbacks=[xgb.callback.EarlyStopping(rounds=2)]).fit(
            X[::2], Y[::2], eval_set=[(X[1::2], Y[1::2])], verbose=False
        ),
    ]

    for model in models:
        again = SkopsSerializer().deserialize_object(SkopsSerializer().serialize_object(model))
        assert model.predict(X).tolist() == again.predict(X).tolist()


def test_types_of_a_fitted_model_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where a library is not known, one message names every type, and its setting is enough.
    """
    fitted = lightgbm("LGBMClassifier").fit(X, Y)
    monkeypatch.setattr("chariots_ml.serializers.skops.curated", dict)
    with pytest.raises(UntrustedArtifact) as caught:
        SkopsSerializer().serialize_object(fitted)
    setting = re.search(r"set (CHARIOTS_SKOPS_TRUSTED)=(\S+) ", caught.value.message)
    assert setting is not None
    monkeypatch.setenv(*setting.groups())

    again = SkopsSerializer().deserialize_object(SkopsSerializer().serialize_object(fitted))

    assert fitted.predict(X).tolist() == again.predict(X).tolist()
