"""
Forged files: what the curated names allow, and what they do not.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import skops.io
from scipy import sparse, stats
from scipy.interpolate import BSpline
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.model_selection import RandomizedSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer
from sklearn.random_projection import SparseRandomProjection
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from chariots_core.errors import ArtifactCorrupt, UntrustedArtifact
from chariots_ml.serializers import SkopsSerializer
from chariots_ml.serializers.distributions import frozen_distribution
from chariots_ml.serializers.native import check_native
from chariots_ml.serializers.trusted import curated

X, Y = load_iris(return_X_y=True)

FUNCTION = {"__class__": "mean", "__module__": "numpy", "__loader__": "FunctionNode", "__id__": 1}


def forged(model: Any, change: Callable[[dict[str, Any]], None]) -> bytes:
    """
    The bytes of *model* after a change of the schema.
    """
    source, target = io.BytesIO(skops.io.dumps(model)), io.BytesIO()
    with ZipFile(source) as old, ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "schema.json":
                schema = json.loads(data)
                change(schema)
                data = json.dumps(schema).encode()
            new.writestr(name, data)
    return target.getvalue()


def nodes(part: Any) -> Iterator[dict[str, Any]]:
    """
    The nodes of a schema.
    """
    if isinstance(part, dict):
        if "__loader__" in part:
            yield part
        for inner in part.values():
            yield from nodes(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from nodes(inner)


def test_curated_functions_are_not_called_at_load() -> None:
    """
    A node that would call a curated function with values of the file is refused.
    """

    def call(schema: dict[str, Any]) -> None:
        for node in nodes(schema):
            if node["__loader__"] == "FunctionNode":
                arguments = next(each for each in nodes(schema) if each["__loader__"] == "ListNode")
                node.update(__loader__="ConstructorFromReduceNode", content=arguments)

    data = forged(FunctionTransformer(np.mean, kw_args={"a": [1]}), call)

    with pytest.raises(UntrustedArtifact, match=r"not trusted here: numpy\.mean;"):
        SkopsSerializer().deserialize_object(data)


def test_curated_types_are_not_called_with_keys() -> None:
    """
    The type of a dict's key is called with the key, so it is none of the curated types.
    """

    def change(schema: dict[str, Any]) -> None:
        for node in nodes(schema):
            if node["__loader__"] == "TypeNode":
                node.update(__module__="lightgbm.basic", __class__="Booster")

    with pytest.raises(UntrustedArtifact, match=r"not trusted here: lightgbm\.basic\.Booster;"):
        SkopsSerializer().deserialize_object(forged(SVC(), change))


def test_states_of_distributions_are_refused() -> None:
    """
    Scipy executes text of such a state, so it is not trusted, and distributions go by name.
    """
    search = RandomizedSearchCV(SVC(), {"C": stats.loguniform(0.1, 10)})
    data = SkopsSerializer().serialize_object(search)

    again = SkopsSerializer().deserialize_object(data)

    assert b"_parse_arg_template" not in data
    assert (0.1, 10) == again.param_distributions["C"].args
    with pytest.raises(UntrustedArtifact, match=r"scipy\.stats\._continuous_distns"):
        SkopsSerializer().deserialize_object(skops.io.dumps(search))
    assert [] == [name for name in curated() if name.startswith("scipy.stats")]


@pytest.mark.parametrize("name", ["rv_continuous", "norm.__class__", "distributions", "", "nope"])
def test_only_distributions_are_looked_up(name: str) -> None:
    """
    A name that is not a distribution of scipy.stats is refused.
    """
    with pytest.raises(LookupError, match="has no distribution"):
        frozen_distribution(name, (), {})


def test_own_distributions_are_refused_at_save() -> None:
    """
    A distribution of the user has no name to be found by.
    """

    class Odd(stats.rv_continuous):  # type: ignore[misc]
        pass

    search = RandomizedSearchCV(SVC(), {"C": Odd(name="odd")()})

    with pytest.raises(
        TypeError, match=r"distribution 'odd' is not one of scipy\.stats: give a list"
    ):
        SkopsSerializer().serialize_object(search)


# --- structures of compiled code -------------------------------------------


def changed_tree(**fields: Any) -> Any:
    """
    A decision tree whose first node has other fields.
    """
    model = DecisionTreeClassifier(max_depth=2).fit(X, Y)
    state = model.tree_.__getstate__()
    state["nodes"] = state["nodes"].copy()
    for name, value in fields.items():
        if name == "node_count":
            state[name] = value
        else:
            state["nodes"][name][0] = value
    model.tree_.__setstate__(state)
    return model


def narrow_tree() -> Any:
    """
    A tree that looks at columns which its estimator does not ask for.
    """
    model = DecisionTreeClassifier(max_depth=2).fit(X, Y)
    model.n_features_in_ = 1
    return model


def narrow(model: Any) -> Any:
    """
    An ensemble that takes fewer columns than its members look at.
    """
    model.fit(X, Y)
    model.n_features_in_ = 1
    return model


def chosen_features() -> Any:
    """
    A forest with one set of columns too few.
    """
    model = IsolationForest(n_estimators=3, max_features=2).fit(X)
    model.estimators_features_ = [features[:1] for features in model.estimators_features_]
    return model


def boosting(**fields: Any) -> Any:
    """
    A histogram gradient boosting whose first node has other fields.
    """
    model = HistGradientBoostingClassifier(max_iter=1).fit(X, Y)
    predictor = model._predictors[0][0]
    predictor.nodes = predictor.nodes.copy()
    for name, value in fields.items():
        predictor.nodes[name][0] = value
    return model


def neighbours(part: int, change: Callable[[Any], Any]) -> Any:
    """
    A classifier by neighbours whose search tree has another part of its state.
    """
    model = KNeighborsClassifier(algorithm="kd_tree").fit(X, Y)
    state = list(model._tree.__getstate__())
    state[part] = change(state[part])
    model._tree.__setstate__(tuple(state))
    return model


def with_field(array: Any, field: str, value: Any) -> Any:
    """
    A copy of a structured array with another value in the first row.
    """
    array = array.copy()
    array[field][0] = value
    return array


def with_first(array: Any, value: Any) -> Any:
    """
    A copy of an array with another first value.
    """
    array = array.copy()
    array[0] = value
    return array


def projection(index: int) -> Any:
    """
    A projection by a sparse matrix with a column out of range.
    """
    model = SparseRandomProjection(2, density=1.0, random_state=0).fit(X)
    model.components_ = sparse.csr_matrix(model.components_)
    model.components_.indices[0] = index
    return model


def spline(degree: int) -> Any:
    """
    A spline of a degree that its knots do not allow.
    """
    made = BSpline(np.arange(8.0), np.ones(4), 3)
    made.k = degree
    return made


@pytest.mark.parametrize(
    "make",
    [
        lambda: changed_tree(left_child=10_000),
        lambda: changed_tree(left_child=0),
        lambda: changed_tree(right_child=-5),
        lambda: changed_tree(feature=4),
        lambda: changed_tree(feature=-3),
        lambda: changed_tree(node_count=10_000),
        narrow_tree,
        lambda: narrow(RandomForestClassifier(2)),
        lambda: narrow(GradientBoostingClassifier(n_estimators=2)),
        lambda: narrow(HistGradientBoostingClassifier(max_iter=1)),
        chosen_features,
        lambda: boosting(left=10_000),
        lambda: boosting(right=0),
        lambda: boosting(feature_idx=4),
        lambda: boosting(is_categorical=1),
        lambda: neighbours(1, lambda index: with_first(index, 10_000)),
        lambda: neighbours(1, lambda index: index[:5].copy()),
        lambda: neighbours(2, lambda part: with_field(part, "idx_end", 10_000)),
        lambda: neighbours(2, lambda part: with_field(part, "idx_start", -1)),
        lambda: neighbours(2, lambda part: with_field(part[-1:], "is_leaf", 0)),
        lambda: neighbours(3, lambda bounds: bounds[:, :, :1].copy()),
        lambda: neighbours(6, lambda count: count + 100),
        lambda: projection(10_000),
        lambda: spline(7),
        lambda: spline(-1),
    ],
)  # fmt: skip
def test_indices_out_of_range_are_found(make: Callable[[], Any]) -> None:
    """
    A model whose indices would lead compiled code astray is refused when it is loaded.
    """
    data = skops.io.dumps(make())

    with pytest.raises(ArtifactCorrupt, match=r"in the saved model is damaged|cannot be built"):
        SkopsSerializer().deserialize_object(data)


def test_unfitted_models_are_sound() -> None:
    """
    An estimator that has learnt nothing has nothing to check.
    """
    check_native([RandomForestClassifier(), HistGradientBoostingClassifier(), object()])
