"""
Estimators and their helpers count in a version by class and parameters.
"""

from __future__ import annotations

import math
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, KFold, RepeatedKFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from chariots_core.versioning import VersionedFieldDict, VersionType, version_of
from chariots_core.versioning.canonical import encode_value
from chariots_core.versioning.parameters import is_default, parameters_of, public_name
from tests.support import printed_by_processes


class Own:
    """
    An estimator of no library: the protocol is enough.
    """

    def __init__(self, depth: int = 1) -> None:
        self.depth = depth

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {"depth": self.depth}

    def set_params(self, **_: Any) -> Own:
        return self


def chain(**options: Any) -> Pipeline:
    """
    A pipeline of two steps, the second with *options*.
    """
    return Pipeline([("scale", StandardScaler()), ("model", SVC(**options))])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (StandardScaler(), MinMaxScaler()),
        (chain(C=1.0), chain(C=2.0)),
        (chain(), Pipeline([("model", SVC())])),
        (GridSearchCV(chain(), {"model__C": [1]}), GridSearchCV(chain(), {"model__C": [2]})),
        (GridSearchCV(SVC(), {}, cv=KFold(3)), GridSearchCV(SVC(), {}, cv=KFold(4))),
        (KFold(3), StratifiedKFold(3)),
        (RepeatedKFold(n_splits=3), RepeatedKFold(n_splits=4)),
        (RBF(1.0) + WhiteKernel(), RBF(2.0) + WhiteKernel()),
        (FunctionTransformer(np.log1p), FunctionTransformer(np.exp)),
        (stats.loguniform(0.1, 10), stats.loguniform(0.1, 100)),
        (stats.uniform(0, 1), stats.norm(0, 1)),
        (make_column_selector(pattern="a"), make_column_selector(pattern="b")),
        (
            ColumnTransformer([("n", SimpleImputer(), ["a"])]),
            ColumnTransformer([("n", SimpleImputer(), ["b"])]),
        ),
        (StandardScaler(), StandardScaler().set_output(transform="pandas")),
        (Own(1), Own(2)),
    ],
)
def test_class_and_parameters_count(left: Any, right: Any) -> None:
    """
    Another class, or another parameter at any depth, is another form.
    """
    assert encode_value({"value": [left]}) != encode_value({"value": [right]})


def test_what_was_learnt_does_not_count() -> None:
    """
    A fitted estimator has the form of the one that was never fitted, since clones learn nothing.
    """
    fitted = chain().fit([[0.0], [1.0]], [0, 1])

    assert encode_value(chain()) == encode_value(fitted)


def test_defaults_do_not_count() -> None:
    """
    A parameter that is given as the constructor's default says nothing new.
    """
    assert encode_value(SVC()) == encode_value(SVC(C=1.0, kernel="rbf"))
    assert encode_value(SimpleImputer()) == encode_value(SimpleImputer(missing_values=float("nan")))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("C", 1.0, True),
        ("C", 1, False),
        ("C", np.ones(2), False),
        ("gamma", "scale", True),
        ("class_weight", None, True),
        ("no_such_argument", None, False),
    ],
)
def test_defaults_are_compared_with_their_type(name: str, value: Any, expected: bool) -> None:
    """
    A default is the same value of the same type; an array is never one.
    """
    assert expected == is_default(SVC, name, value)


def test_defaults_of_other_kinds() -> None:
    """
    NaN equals NaN, tuples are compared part by part, and a class without a signature has none.
    """
    pairs = [
        is_default(SimpleImputer, "missing_values", -math.nan),
        is_default(RBF, "length_scale_bounds", (1e-5, 1e5)),
        is_default(RBF, "length_scale_bounds", (1e-5, 1e6)),
        is_default(int, "x", 0),
    ]

    assert [True, True, False, False] == pairs


@pytest.mark.parametrize(
    ("value", "where", "word"),
    [
        (FunctionTransformer(lambda x: x), "[0][1]['func']", "a lambda"),
        (make_scorer(f1_score), "[0][1]", "a '_Scorer' object"),
        (SVC(random_state=np.random.RandomState(0)), "[0][1]['random_state']", "'RandomState'"),
        (FrozenEstimator(SVC()), "[0][1]", "stays fitted when it is cloned"),
    ],
)
def test_parts_without_a_form_are_named(value: Any, where: str, word: str) -> None:
    """
    A part of an estimator that has no form is refused, with its path and the remedy.
    """
    with pytest.raises(TypeError, match="cannot be versioned") as caught:
        VersionedFieldDict(VersionType.MAJOR, {"steps": [("part", value)]})

    assert f"$[0][1]{where[6:]} cannot" in str(caught.value)
    assert word in str(caught.value)
    assert "an estimator that is not fitted" in str(caught.value)


def test_defaults_of_a_base_class() -> None:
    """
    An argument that a constructor passes on by ``**kwargs`` has the default of the next class.
    """

    class Deep(Own):
        def __init__(self, name: str = "deep", **rest: Any) -> None:
            super().__init__(**rest)
            self.name = name

    assert [True, True, False, False] == [
        is_default(Deep, "depth", 1),
        is_default(Deep, "name", "deep"),
        is_default(Deep, "depth", 2),
        is_default(Deep, "rest", {}),
    ]


def test_public_names() -> None:
    """
    Inner modules are left out of a name where an outer package exports the same object.
    """

    class Local:
        pass

    assert [
        "sklearn.linear_model.LogisticRegression",
        "sklearn.pipeline.Pipeline",
        "sklearn.decomposition.PCA",
        "numpy.mean",
        f"{__name__}.test_public_names.Local",
    ] == [public_name(each) for each in (LogisticRegression, Pipeline, PCA, np.mean, Local)]


def test_a_package_that_refuses_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A package that raises for a name, as scikit-learn does for experimental ones, is passed over.
    """

    class Refusing(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise ImportError("experimental")

    class Local:
        pass

    monkeypatch.setattr(Local, "__module__", "some_package.inner")
    monkeypatch.setitem(sys.modules, "some_package", Refusing("some_package"))

    assert public_name(Local).startswith("some_package.inner.")


def test_distributions_have_their_own_name() -> None:
    """
    A frozen distribution is known by its name in scipy.stats, one of the user by its class.
    """

    class Odd(stats.rv_continuous):  # type: ignore[misc]
        pass

    known, own = parameters_of(stats.uniform(1, 2)), parameters_of(Odd(name="odd")())

    assert known is not None
    assert own is not None
    assert ("scipy.stats.uniform", {"args": (1, 2), "kwds": {}}) == (
        known.name,
        dict(known.values),
    )
    assert own.name.endswith("Odd")


VERSION = """
from scipy import stats
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
import numpy as np
from chariots_core.versioning import VersionedFieldDict, VersionType, version_of

class Op:
    parameters = VersionedFieldDict(VersionType.MAJOR, {
        "steps": [("log", FunctionTransformer(np.log1p)), ("model", SVC(C=2.0))],
        "cv": KFold(3),
        "c": {"model__C": stats.loguniform(0.1, 10)},
    })

print(version_of(Op).identity)
"""


def test_estimators_have_one_form_in_every_process() -> None:
    """
    A version over estimators is the same in each process.
    """
    identities = printed_by_processes(VERSION, "1", "2")

    assert 1 == len(identities), identities


def test_a_nested_parameter_changes_the_version() -> None:
    """
    The digest of a class changes with a parameter of a step, and only with it.
    """

    def op(c: float) -> type:
        class Op:
            parameters = VersionedFieldDict(VersionType.MAJOR, {"steps": chain(C=c).steps})

        return Op

    first, same, other = (version_of(op(c)).major for c in (1.5, 1.5, 2.5))

    assert (True, False) == (first == same, first == other)
