"""
Checks of structures that compiled code follows without looking.

Trees, search trees, splines and sparse matrices hold indices. Compiled code uses
them unchecked, so a forged file could make it read foreign memory. A model is
returned only after every index was found to be inside its array.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from chariots_core.errors import ArtifactCorrupt

#: The word "leaf" in the arrays of children.
_LEAF: Final = -1


def check_native(objects: Iterable[object]) -> None:
    """
    Check each of the *objects* that compiled code relies on.

    Raises:
        ArtifactCorrupt: an index is outside its array, or a size contradicts another.
    """
    checks = list(_checks())
    for value in objects:
        for kinds, check in checks:
            if isinstance(value, kinds):
                _run(check, value)


def _run(check: Callable[[Any], bool], value: Any) -> None:
    try:
        sound = check(value)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ArtifactCorrupt(f"{_what(value)} is damaged ({error}): train the op again") from error
    if not sound:
        raise ArtifactCorrupt(f"{_what(value)} is damaged: train the op again")


def _what(value: object) -> str:
    return f"a {type(value).__name__!r} in the saved model"


def _checks() -> Iterator[tuple[tuple[type, ...], Callable[[Any], bool]]]:
    """
    The checks of the libraries that are loaded: a model holds nothing of others.
    """
    for names, check in _CHECKS.items():
        kinds = tuple(kind for name in names if (kind := _loaded(name)) is not None)
        if kinds:
            yield kinds, check


def _loaded(name: str) -> type | None:
    module, _, attribute = name.rpartition(".")
    found = getattr(sys.modules.get(module), attribute, None)
    return found if isinstance(found, type) else None


def _tree(tree: Any) -> bool:
    count, left, right = tree.node_count, None, None
    if not 0 <= count <= tree.capacity:
        return False
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = left != _LEAF
    own = _numpy().flatnonzero(inner)
    # each child comes after its parent, so that no path is a circle
    return bool(
        count > 0
        and (left[inner] > own).all()
        and (right[inner] > own).all()
        and (left[inner] < count).all()
        and (right[inner] < count).all()
        and (feature[inner] >= 0).all()
        and (feature[inner] < tree.n_features).all()
    ) or (count == 0 and not own.size)


def _decision_tree(estimator: Any) -> bool:
    tree = getattr(estimator, "tree_", None)
    return tree is None or tree.n_features == estimator.n_features_in_


def _ensemble(estimator: Any) -> bool:
    """
    Members of a forest get the rows as the forest checked them.
    """
    members = getattr(estimator, "estimators_", None)
    if members is None:
        return True
    members = list(_numpy().ravel(_numpy().asarray(members, dtype=object)))
    chosen = getattr(estimator, "estimators_features_", None)
    if chosen is None:
        return all(member.tree_.n_features == estimator.n_features_in_ for member in members)
    return len(chosen) == len(members) and all(
        member.tree_.n_features == len(features)
        for member, features in zip(members, chosen, strict=True)
    )


def _boosting(estimator: Any) -> bool:
    predictors = getattr(estimator, "_predictors", None)
    if predictors is None:
        return True
    known = getattr(estimator._bin_mapper, "is_categorical_", None)  # noqa: SLF001
    return all(
        _predictor(each, estimator.n_features_in_, known) for row in predictors for each in row
    )


def _predictor(predictor: Any, n_features: int, categorical: Any) -> bool:
    nodes, bitsets = predictor.nodes, predictor.raw_left_cat_bitsets
    inner = nodes["is_leaf"] == 0
    own = _numpy().flatnonzero(inner)
    split = nodes[inner]
    sets = split[split["is_categorical"] != 0]
    return bool(
        len(nodes) > 0
        and bitsets.shape[1:] == predictor.binned_left_cat_bitsets.shape[1:] == (8,)
        and all((split[side] > own).all() for side in ("left", "right"))
        and all((split[side] < len(nodes)).all() for side in ("left", "right"))
        and (split["feature_idx"] >= 0).all()
        and (split["feature_idx"] < n_features).all()
        and (sets["bitset_idx"] < min(len(bitsets), len(predictor.binned_left_cat_bitsets))).all()
        and (not len(sets) or categorical[sets["feature_idx"]].all())
    )


def _search_tree(tree: Any) -> bool:
    data, index, nodes, bounds = (_numpy().asarray(part) for part in tree.get_arrays())
    state = tree.__getstate__()
    count, rows, metric = state[6], len(data), state[11]
    last = nodes["is_leaf"] != 0
    metric._validate_data(data)  # noqa: SLF001 - as in the constructor
    return bool(
        0 < count == len(nodes)
        and bounds.shape[1:] == (count, data.shape[1])
        and ((index >= 0) & (index < rows)).all()
        and (nodes["idx_start"] >= 0).all()
        and (nodes["idx_start"] <= nodes["idx_end"]).all()
        and (nodes["idx_end"] <= rows).all()
        and len(index) == rows
        # the children of node i are 2i + 1 and 2i + 2
        and (2 * _numpy().flatnonzero(~last) + 2 < count).all()
    )


def _spline(spline: Any) -> bool:
    knots, degree = spline.t, spline.k
    return bool(
        isinstance(degree, int | _numpy().integer)
        and 0 <= degree
        and knots.ndim == 1
        and len(knots) >= 2 * degree + 2
        and len(spline.c) >= len(knots) - degree - 1
    )


def _sparse(matrix: Any) -> bool:
    matrix.check_format(full_check=True)
    return True


def _numpy() -> Any:
    return sys.modules["numpy"]


_ENSEMBLES: Final = (
    "sklearn.ensemble.ExtraTreesClassifier",
    "sklearn.ensemble.ExtraTreesRegressor",
    "sklearn.ensemble.GradientBoostingClassifier",
    "sklearn.ensemble.GradientBoostingRegressor",
    "sklearn.ensemble.IsolationForest",
    "sklearn.ensemble.RandomForestClassifier",
    "sklearn.ensemble.RandomForestRegressor",
    "sklearn.ensemble.RandomTreesEmbedding",
)

_CHECKS: Final[dict[tuple[str, ...], Callable[[Any], bool]]] = {
    ("sklearn.tree._tree.Tree",): _tree,
    ("sklearn.tree.BaseDecisionTree", "sklearn.tree._classes.BaseDecisionTree"): _decision_tree,
    _ENSEMBLES: _ensemble,
    (
        "sklearn.ensemble.HistGradientBoostingClassifier",
        "sklearn.ensemble.HistGradientBoostingRegressor",
    ): _boosting,
    (
        "sklearn.neighbors.BallTree",
        "sklearn.neighbors.KDTree",
        "sklearn.neighbors._ball_tree.BallTree32",
        "sklearn.neighbors._kd_tree.KDTree32",
    ): _search_tree,
    ("scipy.interpolate.BSpline",): _spline,
    tuple(
        f"scipy.sparse.{form}_{kind}"
        for form in ("bsr", "csc", "csr")
        for kind in ("array", "matrix")
    ): _sparse,
}
