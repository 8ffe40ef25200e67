"""
Every estimator of the installed scikit-learn is saved and loaded without configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.experimental import (  # noqa: F401 - makes the estimators known
    enable_halving_search_cv,
    enable_iterative_imputer,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.utils import all_estimators
from sklearn.utils._test_common.instance_generator import _construct_instances
from sklearn.utils.estimator_checks import (
    _enforce_estimator_tags_X,
    _enforce_estimator_tags_y,
)

from chariots_ml.serializers import SkopsSerializer

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

#: Estimators that skops itself cannot save, with the beginning of its reason.
UNSAVEABLE = {"Birch": "a 'Birch' model cannot be saved by skops (Objects of type Birch"}

TEXTS = ["good film", "bad film", "good plot", "bad plot"] * 3

X, Y = make_blobs(60, 4, centers=2, random_state=0)
X -= X.min()

#: How to fit what does not take rows of numbers and targets.
SPECIAL: dict[str, Callable[[type], tuple[Any, Any]]] = {
    "CountVectorizer": lambda kind: (kind().fit(TEXTS), TEXTS),
    "TfidfVectorizer": lambda kind: (kind().fit(TEXTS), TEXTS),
    "DictVectorizer": lambda kind: (kind().fit([{"a": 1}, {"b": 2}]), [{"a": 3}]),
    "FeatureHasher": lambda kind: (kind(8), [{"a": 3}]),
    "HashingVectorizer": lambda kind: (kind(n_features=8), TEXTS),
    "PatchExtractor": lambda kind: (kind(patch_size=(2, 2)), X.reshape(-1, 4, 4)),
    "FrozenEstimator": lambda _: (FrozenEstimator(SVC().fit(X, Y)), X),
    "LabelBinarizer": lambda kind: (kind().fit(["a", "b"]), ["b", "a"]),
    "LabelEncoder": lambda kind: (kind().fit(["a", "b"]), ["b", "a"]),
    "MultiLabelBinarizer": lambda kind: (kind().fit([["a"], ["b"]]), [["b", "a"]]),
    "SparseCoder": lambda kind: (kind(np.eye(4)).fit(X), X),
    "HalvingGridSearchCV": lambda kind: (kind(LogisticRegression(), {"C": [1, 2]}).fit(X, Y), X),
    "HalvingRandomSearchCV": lambda kind: (
        kind(LogisticRegression(), {"C": [1, 2]}, n_candidates=2).fit(X, Y),
        X,
    ),
}


def fitted(name: str, kind: type) -> list[tuple[Any, Any]]:
    """
    Fitted estimators of a class, as scikit-learn's own tests build them, with rows for each.
    """
    if name in SPECIAL:
        return [SPECIAL[name](kind)]
    pairs = []
    for estimator in _construct_instances(kind):
        rows = _enforce_estimator_tags_X(estimator, X.copy())
        pairs.append((estimator.fit(rows, _enforce_estimator_tags_y(estimator, Y.copy())), rows))
    return pairs


def answers(estimator: Any, rows: Any) -> list[Any]:
    """
    What the estimator's methods give for *rows*; nothing where they are random.
    """
    found = []
    for method in ("predict", "transform", "score_samples"):
        if hasattr(estimator, method):
            once, again = (plain(getattr(estimator, method)(rows)) for _ in range(2))
            found.append(once if repr(once) == repr(again) else "random")
    return found


def plain(answer: Any) -> Any:
    """
    An answer as lists.
    """
    if isinstance(answer, tuple):
        return [plain(part) for part in answer]
    return np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer).tolist()


@pytest.mark.parametrize(
    ("name", "kind"), [pytest.param(*pair, id=pair[0]) for pair in all_estimators()]
)
def test_every_estimator_comes_back(name: str, kind: type) -> None:
    """
    A fitted estimator gives the same answers after it was saved and loaded.
    """
    serializer = SkopsSerializer()
    if name in UNSAVEABLE:
        with pytest.raises(TypeError) as caught:
            serializer.serialize_object(kind())
        assert str(caught.value).startswith(UNSAVEABLE[name])
        return
    pairs = fitted(name, kind)
    assert [] != pairs
    for estimator, rows in pairs:
        again = serializer.deserialize_object(serializer.serialize_object(estimator))
        if not getattr(estimator, "non_deterministic", False):
            assert repr(answers(estimator, rows)) == repr(answers(again, rows))
