"""
Descriptions of models: JSON, and the same in every process.
"""

from __future__ import annotations

import functools
import json
import math
from datetime import date
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from chariots_ml.declarations import describe
from tests.support import printed_by_processes


def square(value: Any) -> Any:
    """
    A function with a name.
    """
    return value**2


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (SVC(), {}),
        (SVC(C=np.float64(2), class_weight={1: math.inf, 0: math.nan}), {"C": 2.0, "class_weight": {"0": "nan", "1": "inf"}}),
        (SVC(random_state=np.random.RandomState(0)), {"random_state": "numpy.random.RandomState"}),
        (OneHotEncoder(dtype=np.float32), {"dtype": "numpy.float32"}),
        (FunctionTransformer(square), {"func": f"{__name__}.square"}),
        (FunctionTransformer(np.log1p), {"func": "numpy.log1p"}),
        (FunctionTransformer(kw_args={"a": {2, 1}}), {"kw_args": {"a": ["1", "2"]}}),
        (GridSearchCV(SVC(), {"C": [1]}, cv=KFold(3)), {"cv": "sklearn.model_selection.KFold(n_splits=3)", "estimator": "sklearn.svm.SVC", "param_grid": {"C": [1]}}),
        (GridSearchCV(SVC(C=2), {"estimator": [SVC(C=3)]}), {"estimator": "sklearn.svm.SVC", "estimator__C": 2, "param_grid": {"estimator": ["sklearn.svm.SVC(C=3)"]}}),
        (GridSearchCV(SVC(), {}, scoring=make_scorer(f1_score)), {"estimator": "sklearn.svm.SVC", "param_grid": {}, "scoring": "sklearn.metrics._scorer._Scorer"}),
        (RandomizedSearchCV(SVC(), {"C": stats.loguniform(0.1, 10)}), {"estimator": "sklearn.svm.SVC", "param_distributions": {"C": "scipy.stats.loguniform(args=[0.1, 10], kwds={})"}}),
        (ColumnTransformer([("n", "passthrough", make_column_selector(pattern="x"))]), {"n": "passthrough", "transformers": [["n", "passthrough", "sklearn.compose.make_column_selector(pattern=x)"]]}),
        (Pipeline([("s", StandardScaler(with_mean=False).set_output(transform="pandas"))]), {"s": "sklearn.preprocessing.StandardScaler", "s__set_output": {"transform": "pandas"}, "s__with_mean": False, "steps": [["s", "sklearn.preprocessing.StandardScaler"]]}),
        (Pipeline([("f", FrozenEstimator(SVC(C=3)))]), {"f": "sklearn.frozen.FrozenEstimator", "f__estimator": "sklearn.svm.SVC(C=3)", "steps": [["f", "sklearn.frozen.FrozenEstimator"]]}),
    ],
)  # fmt: skip
def test_parameters(model: Any, expected: dict[str, Any]) -> None:
    """
    Each parameter that is not a default is there, with a form that JSON knows.
    """
    described = describe(model)["parameters"]

    assert expected == described
    assert described == json.loads(json.dumps(described, allow_nan=False))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (np.array([1.0]), np.array([2.0])),
        (slice(1), slice(2)),
        (functools.partial(square, 1), functools.partial(square, 2)),
        (date(2020, 1, 1), date(2020, 1, 2)),
    ],
)
def test_values_without_json_have_digests(left: Any, right: Any) -> None:
    """
    Two values that a version would tell apart have two descriptions.
    """
    first, second = (
        describe(FunctionTransformer(kw_args={"a": value}))["parameters"]["kw_args"]["a"]
        for value in (left, right)
    )

    assert first != second
    assert first.split()[0] == second.split()[0]


def test_values_without_any_form_have_a_type() -> None:
    """
    A lambda and an object are described without their address, and a circle ends.
    """
    circle: list[Any] = []
    circle.append(circle)
    described = [
        describe(FunctionTransformer(kw_args={"a": value}))["parameters"]["kw_args"]["a"]
        for value in (lambda x: x, object())
    ]
    name = test_values_without_any_form_have_a_type.__name__

    assert [f"{__name__}.{name}.<lambda>", "builtins.object"] == described
    assert "..." in json.dumps(describe(FunctionTransformer(kw_args={"a": circle})))


def test_other_models_have_a_class() -> None:
    """
    A model without parameters is described by its class.
    """
    assert {"class": "builtins.list", "parameters": {}} == describe([1])


def test_descriptions_are_the_same_in_every_process() -> None:
    """
    The text of a description does not depend on the process.
    """
    code = (
        "import json, numpy as np\n"
        "from scipy import stats\n"
        "from sklearn.model_selection import RandomizedSearchCV, KFold\n"
        "from sklearn.svm import SVC\n"
        "from chariots_ml.declarations import describe\n"
        "model = RandomizedSearchCV(SVC(random_state=np.random.RandomState(0)),"
        " {'C': stats.uniform(0, 1), 'x': {'b', 'a'}}, cv=KFold(2), scoring=lambda *_: 0)\n"
        "print(json.dumps(describe(model)))"
    )
    texts = printed_by_processes(code, "1", "2")

    assert 1 == len(texts), texts
