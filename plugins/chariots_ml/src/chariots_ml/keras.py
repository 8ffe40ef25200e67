"""
Ops around Keras models.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self

from chariots_ml.ops import BaseMLOp
from chariots_ml.serializers.base import BaseSerializer
from chariots_ml.serializers.keras import KerasSerializer


class KerasOp(BaseMLOp):
    """
    An op around a Keras model: fits it to (X, y), and predicts for X.

    A subclass gives the compiled model in ``_init_model``, where it imports
    keras: an app that only names the op does not load it::

        class Line(KerasOp):
            fit_params = VersionedFieldDict(VersionType.MAJOR, {"epochs": 20})

            def _init_model(self):
                import keras

                model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
                model.compile(optimizer="sgd", loss="mse")
                return model

    Attributes:
        fit_params: keyword arguments of the model's ``fit``; a
            `VersionedFieldDict` counts in the op's version.
        predict_params: keyword arguments of the model's ``predict``.
    """

    serializer_cls: ClassVar[Callable[[], BaseSerializer]] = KerasSerializer
    fit_params: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    predict_params: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    def fit(self, *inputs: Any) -> None:
        """
        Fit the model to the inputs, as ``model.fit`` takes them: X and y.
        """
        # a progress bar for people would fill the output of a job
        self._model.fit(*inputs, **{"verbose": 0, **self.fit_params})

    def predict(self, *inputs: Any) -> Any:
        """
        The model's predictions for X.
        """
        return self._model.predict(*inputs, **{"verbose": 0, **self.predict_params})

    def predict_inputs(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """
        The rows, without their targets.
        """
        return inputs[:1]

    def copy(self) -> Self:
        """
        An op with a model of its own; Keras models are copied by their own format.
        """
        twin = copy.copy(self)
        twin.load(self.serialize())
        return twin
