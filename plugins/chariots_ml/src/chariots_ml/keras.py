"""
Ops around Keras models.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

from chariots_core.versioning.parameters import public_name
from chariots_ml.declarations import described
from chariots_ml.ops import BaseMLOp, SerializerSource
from chariots_ml.serializers.keras import KerasSerializer

#: Entries of a configuration that appear once a model has seen rows.
_BUILT: Final = frozenset({"build_config", "build_input_shape"})


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

    serializer_cls: ClassVar[SerializerSource] = KerasSerializer
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

    def _described(self, model: Any) -> Mapping[str, Any]:
        """
        The model's class, and digests of its layers and of its compile arguments.
        """
        return described(
            model, {"layers": _digest(model.get_config()), "compiled": _compiled(model)}
        )

    def copy(self) -> Self:
        """
        An op with a model of its own; Keras models are copied by their own format.
        """
        twin = copy.copy(self)
        twin.load(self.serialize())
        return twin


def _compiled(model: Any) -> str | None:
    return _digest(model.get_compile_config()) if model.compiled else None


def _digest(config: Any) -> str:
    """
    A digest of a configuration of Keras that does not depend on the names that Keras gives.

    Keras counts its layers in each process: the second model has ``dense_1``
    where the first has ``dense``.
    """
    names: dict[str, str] = {}
    _collect_names(_renamed(config, {}), names)
    text = json.dumps(_renamed(config, names), sort_keys=True, default=_text)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _collect_names(config: Any, names: dict[str, str]) -> None:
    if isinstance(config, Mapping):
        name = config.get("name")
        if isinstance(name, str):
            names.setdefault(name, f"#{len(names)}")
        if str(config.get("class_name")).endswith("DTypePolicy"):
            # its name is the type of numbers
            return
        for part in config.values():
            _collect_names(part, names)
    elif isinstance(config, list | tuple):
        for part in config:
            _collect_names(part, names)


def _renamed(config: Any, names: Mapping[str, str]) -> Any:
    if isinstance(config, Mapping):
        return {
            str(key): _renamed(part, names) for key, part in config.items() if key not in _BUILT
        }
    if isinstance(config, list | tuple):
        return [_renamed(part, names) for part in config if not _is_made_by_rows(part)]
    return names.get(config, config) if isinstance(config, str) else config


def _is_made_by_rows(layer: Any) -> bool:
    """
    Whether Keras has put the layer in front, for the first batch of rows.
    """
    if not isinstance(layer, Mapping) or layer.get("class_name") != "InputLayer":
        return False
    shape = layer["config"].get("batch_shape")
    return bool(shape) and shape[0] is not None


def _text(value: object) -> str:
    # what Keras does not put into words itself, by its type: never by its address
    return public_name(type(value))
