"""
Ops around Keras models, where Keras and a backend of it are installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chariots_core.errors import ArtifactCorrupt, UntrustedArtifact
from chariots_core.versioning import VersionedFieldDict, VersionType, version_of
from chariots_ml import MLMode
from chariots_ml.keras import KerasOp
from chariots_ml.serializers.keras import KerasSerializer

# The one library that the setup leaves out: it and what it computes with are too large.
keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Line(KerasOp):
    """
    Learns a line through points.
    """

    fit_params = VersionedFieldDict(VersionType.MAJOR, {"epochs": 60, "batch_size": 4})

    def _init_model(self) -> Any:
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
        return model


@pytest.fixture(name="points")
def _points() -> tuple[Any, Any]:
    rows = np.linspace(-1, 1, 16).reshape(-1, 1)
    return rows, 2 * rows + 1


def test_training_and_prediction(points: tuple[Any, Any]) -> None:
    """
    A model that one op trained predicts the same in another, under the same version.
    """
    trained, served = Line(MLMode.FIT), Line(MLMode.PREDICT)
    assert trained.execute(*points) is None

    served.restore(trained.serialize(), trained.op_version)

    assert np.allclose(points[1], served.execute(points[0]), atol=0.1)
    assert version_of(Line) != served.op_version


def test_fit_predict(points: tuple[Any, Any]) -> None:
    """
    An op that does both predicts for the rows that it was fitted to.
    """
    assert (16, 1) == Line(MLMode.FIT_PREDICT).execute(*points).shape


def test_copies_learn_alone(points: tuple[Any, Any]) -> None:
    """
    Training a copy changes neither the weights nor the version of the original.
    """
    line = Line(MLMode.FIT_PREDICT)
    line.execute(*points)
    weights, version = line._model.get_weights()[0].copy(), line.op_version

    line.copy().execute(points[0], -points[1])

    assert (weights.tolist(), version) == (line._model.get_weights()[0].tolist(), line.op_version)


def test_parameters_of_fit_count_in_the_version() -> None:
    """
    Other parameters of fit are another version.
    """

    class Longer(Line):
        fit_params = VersionedFieldDict(VersionType.MAJOR, {"epochs": 61, "batch_size": 4})

    assert version_of(Line).major != version_of(Longer).major
    assert "keras" == Line(MLMode.FIT).serializer


def lambda_model() -> Any:
    """
    A model with code inside.
    """
    return keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x * 2)])


def test_code_in_a_model_is_refused_before_a_training() -> None:
    """
    A model with a lambda inside is refused before a training, and when it is saved.
    """

    class Code(Line):
        def _init_model(self) -> Any:
            return lambda_model()

    for call in (Code(MLMode.FIT).check_saveable, Code(MLMode.FIT).serialize):
        with pytest.raises(UntrustedArtifact, match=r"op 'code' cannot be saved: .*[Ll]ambda"):
            call()


def test_code_in_a_saved_model_is_refused(tmp_path: Path) -> None:
    """
    A file with a lambda inside is not loaded: that would run what the bytes bring.
    """
    lambda_model().save(tmp_path / "model.keras")

    with pytest.raises(UntrustedArtifact, match=r"[Ll]ambda"):
        KerasSerializer().deserialize_object((tmp_path / "model.keras").read_bytes())


def test_each_training_starts_from_a_new_model(points: tuple[Any, Any]) -> None:
    """
    The second training of one op object does not continue the first.
    """
    line = Line(MLMode.FIT)
    line.execute(*points)
    first = line._model

    line.execute(*points)

    assert first is not line._model
    assert first.optimizer.iterations.numpy() == line._model.optimizer.iterations.numpy()


class Late(Line):
    """
    A model that learns the width of its rows from the rows.
    """

    def _init_model(self) -> Any:
        model = keras.Sequential([keras.layers.Dense(2), keras.layers.Dense(1)])
        model.compile(optimizer="sgd", loss="mse")
        return model


@pytest.mark.parametrize("op", [Line, Late])
def test_declarations_do_not_depend_on_the_names_that_keras_gives(
    op: type[Line], points: tuple[Any, Any]
) -> None:
    """
    Models that the code builds twice, trains and loads have one description.
    """
    trained, loaded = op(MLMode.FIT), op(MLMode.PREDICT)
    trained.check_saveable()
    first = trained.declaration()
    trained.execute(*points)
    loaded.load(trained.serialize())

    assert first == trained.declaration() == trained.fitted() == loaded.fitted()
    assert "keras.Sequential" == first["class"]


@pytest.mark.parametrize("change", ["layer", "numbers", "rate", "not compiled"])
def test_declarations_name_what_was_changed(change: str) -> None:
    """
    Other layers, other numbers, another rate of learning, and a model that is not compiled show.
    """

    class Other(Line):
        def _init_model(self) -> Any:
            numbers = "float16" if change == "numbers" else "float32"
            layers = [keras.layers.Dense(2)] if change == "layer" else []
            model = keras.Sequential(
                [keras.Input((1,)), *layers, keras.layers.Dense(1, dtype=numbers)]
            )
            if change != "not compiled":
                rate = 0.2 if change == "rate" else 0.1
                model.compile(optimizer=keras.optimizers.SGD(rate), loss="mse")
            return model

    mine, other = (op(MLMode.FIT).declaration()["parameters"] for op in (Line, Other))
    differing = {name for name in mine if mine[name] != other[name]}

    expected = {"layers"} if change in ("layer", "numbers") else {"compiled"}
    assert expected == differing


def test_other_bytes_are_refused() -> None:
    """
    Bytes of another format are corrupt.
    """
    with pytest.raises(ArtifactCorrupt):
        KerasSerializer().deserialize_object(b"garbage")
