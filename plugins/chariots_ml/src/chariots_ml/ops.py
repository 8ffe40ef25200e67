"""
Ops that learn: the base of those for each library.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, ClassVar

from chariots_core.errors import ArtifactCorrupt, UntrustedArtifact
from chariots_core.pipelines import LoadableOp, OpCallBack
from chariots_core.versioning import Version, VersionType, version_of
from chariots_ml.declarations import describe
from chariots_ml.errors import OpNotFitted
from chariots_ml.serializers import BaseSerializer, SkopsSerializer


class MLMode(Enum):
    """
    What an op that learns does when it is executed.
    """

    FIT = "fit"
    """It learns from its inputs, and gives nothing."""

    PREDICT = "predict"
    """It predicts for its inputs, and learns nothing."""

    FIT_PREDICT = "fit_predict"
    """It learns from its inputs, and gives its predictions for them."""


SerializerSource = BaseSerializer | Callable[[], BaseSerializer]
"""A serializer, or a class or function without arguments that makes one."""


class BaseMLOp(LoadableOp):
    """
    An op around a model that learns.

    A training starts from a new model, which `_init_model` builds, unless the class
    sets `continue_training`. Every training makes a version of its own, also where
    the model came out the same: the digest named by `training_update_version` gets
    the time and a random number. One that failed makes one too, since it may have
    changed the model. Predictions change no version.

    >>> from chariots_ml.serializers import JSONSerializer
    >>> class Mean(BaseMLOp):
    ...     serializer_cls = JSONSerializer
    ...     def _init_model(self):
    ...         return {}
    ...     def fit(self, numbers):
    ...         self._model["mean"] = sum(numbers) / len(numbers)
    ...     def predict(self, numbers):
    ...         return [self._model["mean"] for _ in numbers]
    >>> mean = Mean(MLMode.FIT_PREDICT)
    >>> before = mean.op_version
    >>> mean.execute([1, 2, 6])
    [3.0, 3.0, 3.0]
    >>> mean.op_version > before, mean.serialize()
    (True, b'{"mean":3.0}')

    Args:
        mode: what executing it does.
        op_callbacks: called around each execution.

    Attributes:
        serializer_cls: turns the model into bytes and back: a serializer, or a class
            or function without arguments that makes one.
        training_update_version: the digest that a training changes.
        continue_training: whether a training continues with the model of the
            training before, as ``partial_fit`` does.
        pretrained: whether the model of `_init_model` can predict before any
            training, such as a model that was trained elsewhere.
    """

    serializer_cls: ClassVar[SerializerSource] = SkopsSerializer
    training_update_version: ClassVar[VersionType] = VersionType.PATCH
    pretrained: ClassVar[bool] = False

    # only for a hint: whether there was a training, as far as this object can know
    _has_learnt: bool = False

    def __init__(self, mode: MLMode, op_callbacks: Sequence[OpCallBack] | None = None) -> None:
        super().__init__(op_callbacks)
        self._mode = self._checked_mode(mode)

    @property
    def mode(self) -> MLMode:
        """
        What executing the op does.
        """
        return self._mode

    @property
    def trains(self) -> bool:
        return self._mode is not MLMode.PREDICT

    @property
    def needs_training(self) -> bool:
        return not self.trains and not self.pretrained

    @property
    def serializer(self) -> str:
        return self._make_serializer().name

    @abstractmethod
    def _init_model(self) -> Any:
        """
        Return a new model, not fitted unless the class is `pretrained`.

        It is called when the model is first needed, before each training that does
        not continue another one, and for `declaration`. It gives a new object each
        time.
        """

    @abstractmethod
    def fit(self, *inputs: Any) -> None:
        """
        Let the model (``self._model``) learn from *inputs*.
        """

    @abstractmethod
    def predict(self, *inputs: Any) -> Any:
        """
        The model's predictions for *inputs*.
        """

    def predict_inputs(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """
        Which of the *inputs* of `fit` are for `predict`, in mode ``FIT_PREDICT``: all.
        """
        return inputs

    def execute(self, *inputs: Any) -> Any:
        """
        Fit, predict, or both, as the mode says.

        Raises:
            OpNotFitted: the model was to predict before it was fitted or loaded.
        """
        if self._mode is MLMode.PREDICT:
            return self._predicted(inputs)
        self._train(inputs)
        if self._mode is MLMode.FIT:
            return None
        return self._predicted(self.predict_inputs(inputs))

    def declaration(self) -> Mapping[str, Any]:
        """
        Return class and parameters of the model that the code builds.
        """
        return self._described(self._new_model())

    def fitted(self) -> Mapping[str, Any]:
        """
        Return class and parameters of the model that the op holds now.
        """
        return self._described(self._model)

    def check_saveable(self) -> None:
        """
        Raise if the op's serializer would refuse a trained model of this op.

        Raises:
            UntrustedArtifact: this process would refuse to load the model.
            TypeError: the serializer cannot save such a model.
        """
        with self._named("cannot be saved"):
            self._make_serializer().check_saveable(self._new_model())

    def serialize(self) -> bytes:
        """
        Return the model as bytes of the op's serializer.

        Raises:
            UntrustedArtifact: this process would refuse to load the bytes.
        """
        with self._named("cannot be saved"):
            return self._make_serializer().serialize_object(self._model)

    def load(self, serialized_object: bytes) -> None:
        """
        Take over a model that `serialize` gave.

        Raises:
            UntrustedArtifact: it holds what this process does not trust.
        """
        with self._named("cannot be loaded"):
            self._model = self._make_serializer().deserialize_object(serialized_object)
        self._has_learnt = True

    def restore(self, data: bytes, version: Version) -> None:
        """
        Load *data*, and be of *version* from then on.
        """
        super().restore(data, version)
        # the code's own version is that of a model before any training
        self._has_learnt = version != version_of(self)

    @property
    def _model(self) -> Any:
        # made late: a subclass may need its own __init__ to be over
        if "_fitted_model" not in self.__dict__:
            self._fitted_model = self._new_model()
        return self._fitted_model

    @_model.setter
    def _model(self, model: Any) -> None:
        self._fitted_model = model

    def _new_model(self) -> Any:
        """
        A new model, which no other op and no other training holds.
        """
        try:
            return self._init_model()
        except Exception as error:
            error.add_note(f"op {self.name!r}: its _init_model() failed")
            raise

    def _described(self, model: Any) -> Mapping[str, Any]:
        """
        Class and parameters of *model* as JSON; a class for other libraries overrides it.
        """
        return describe(model)

    def _make_serializer(self) -> BaseSerializer:
        # through the class: a function that makes serializers is not a method
        source = type(self).serializer_cls
        return source if isinstance(source, BaseSerializer) else source()

    @contextmanager
    def _named(self, what: str) -> Iterator[None]:
        """
        Errors name the op: a serializer knows only the model.
        """
        try:
            yield
        except (ArtifactCorrupt, UntrustedArtifact) as error:
            raise type(error)(f"op {self.name!r} {what}: {error.message}") from error
        except Exception as error:
            error.add_note(f"op {self.name!r} {what}")
            raise

    def _train(self, inputs: Sequence[Any]) -> None:
        if not self.continue_training:
            self._model = self._new_model()
        try:
            self.fit(*inputs)
        finally:
            self._has_learnt = True
            self.mark_trained(self.training_update_version)

    def _predicted(self, inputs: Sequence[Any]) -> Any:
        try:
            return self.predict(*inputs)
        except Exception as error:
            hint = (
                f"op {self.name!r} was never fitted: run a pipeline that trains it "
                "(MLMode.FIT or FIT_PREDICT), then load this pipeline"
            )
            if _says_not_fitted(error):
                raise OpNotFitted(f"{hint} ({error})", op=self.name) from error
            if not self._has_learnt:
                error.add_note(hint)
            raise

    def _checked_mode(self, mode: object) -> MLMode:
        if isinstance(mode, MLMode):
            return mode
        known = ", ".join(str(member) for member in MLMode)
        raise TypeError(f"mode of op {self.name!r} is {mode!r}: give one of {known}")


def _says_not_fitted(error: Exception) -> bool:
    known = sys.modules.get("sklearn.exceptions")
    return known is not None and isinstance(error, known.NotFittedError)
