"""
Ops around scikit-learn models.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from chariots_core.errors import ConfigurationError
from chariots_core.versioning import VersionedField
from chariots_ml.ops import BaseMLOp
from chariots_ml.serializers.base import import_library

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class BaseSKOp(BaseMLOp):
    """
    An op around one scikit-learn estimator. Use one of the two classes below.

    Attributes:
        model_class: the estimator's class; as a `VersionedField` it counts in
            the op's version.
        model_parameters: what the class is called with; a `VersionedFieldDict`
            counts in the op's version. Each model gets clones: estimators among
            the parameters are never fitted themselves.
        predict_function: the name of the estimator's method that predicts.
        fit_extra_parameters: keyword arguments of the estimator's ``fit``.
    """

    model_class: ClassVar[type[Any] | VersionedField[Any] | None] = None
    model_parameters: ClassVar[Mapping[str, Any]] = _NOTHING
    predict_function: ClassVar[str] = "predict"
    fit_extra_parameters: ClassVar[Mapping[str, Any]] = _NOTHING

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's own name
        """
        What the estimator's `predict_function` gives for *X*.
        """
        return getattr(self._model, self.predict_function)(X)

    def _init_model(self) -> Any:
        model_class: Any = self.model_class
        if model_class is None:
            raise ConfigurationError(
                f"op {self.name!r} has no model_class: set it on {type(self).__qualname__} to the "
                "class of a scikit-learn estimator"
            )
        parameters = {name: _cloned(value) for name, value in self.model_parameters.items()}
        return model_class(**parameters)

    def _new_model(self) -> Any:
        model = super()._new_model()
        # a subclass may return an object of its module, which other ops return as well
        return model if self.pretrained else copy.deepcopy(model)


def _cloned(value: Any) -> Any:
    """
    A copy of a parameter; estimators inside are unfitted.
    """
    return import_library("sklearn.base", extra="sklearn").clone(value, safe=False)


class SKSupervisedOp(BaseSKOp):
    """
    Fits an estimator to (X, y), and predicts for X.

    >>> from sklearn.linear_model import LinearRegression
    >>> from chariots_core.versioning import VersionedFieldDict, VersionType
    >>> from chariots_ml import MLMode
    >>> class Line(SKSupervisedOp):
    ...     model_class = LinearRegression
    ...     model_parameters = VersionedFieldDict(VersionType.MAJOR, {"fit_intercept": False})
    >>> line = Line(MLMode.FIT_PREDICT)
    >>> [round(float(y), 6) for y in line.execute([[1], [2]], [3, 6])]
    [3.0, 6.0]
    """

    def fit(self, X: Any, y: Any) -> None:  # noqa: N803 - scikit-learn's own name
        """
        Fit the estimator to targets *y* of rows *X*.
        """
        self._model.fit(X, y, **self.fit_extra_parameters)

    def predict_inputs(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """
        The rows, without their targets.
        """
        return inputs[:1]


class SKUnsupervisedOp(BaseSKOp):
    """
    Fits an estimator to X, and transforms X.

    >>> from sklearn.preprocessing import MinMaxScaler
    >>> from chariots_ml import MLMode
    >>> class Scale(SKUnsupervisedOp):
    ...     model_class = MinMaxScaler
    >>> Scale(MLMode.FIT_PREDICT).execute([[0], [10], [5]]).tolist()
    [[0.0], [1.0], [0.5]]
    """

    predict_function: ClassVar[str] = "transform"

    def fit(self, X: Any) -> None:  # noqa: N803 - scikit-learn's own name
        """
        Fit the estimator to rows *X*.
        """
        self._model.fit(X, **self.fit_extra_parameters)
