"""
Bytes from models and back; what is trusted is the process's own word.
"""

from __future__ import annotations

import functools
import io
import logging
import os
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import dill
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import Birch
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from chariots_core.errors import ArtifactCorrupt, NotJSONError, UntrustedArtifact
from chariots_ml.serializers import (
    BaseSerializer,
    CSVSerializer,
    DillSerializer,
    JSONSerializer,
    SkopsSerializer,
)
from chariots_ml.serializers.base import import_library


class Evil:
    """
    Writes a file when it is unpickled.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


def test_names_of_formats() -> None:
    """
    Each format has a name of its own, which is recorded with what is saved.
    """
    classes: list[type[BaseSerializer]] = [
        JSONSerializer,
        CSVSerializer,
        DillSerializer,
        SkopsSerializer,
    ]

    assert ["json", "csv", "dill", "skops"] == [each.name for each in classes]


def test_json() -> None:
    """
    Plain data comes back from JSON; anything else is refused.
    """
    value = {"a": [1, 2.5, None, "é"]}

    assert value == JSONSerializer().deserialize_object(JSONSerializer().serialize_object(value))
    with pytest.raises(NotJSONError):
        JSONSerializer().serialize_object({"a": {1}})
    with pytest.raises(ArtifactCorrupt, match="saved state is no JSON"):
        JSONSerializer().deserialize_object(b"{")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": [1, 2], "y": [0.1, 1e-300], "z": ["a", "é,\n"]}),
        pd.DataFrame({"x": [0.1 + 0.2, 1 / 3, 2.0**0.5]}),
        pd.DataFrame({"flag": [True, False]}),
    ],
)
def test_csv(frame: Any) -> None:
    """
    A plain frame comes back from CSV exactly.
    """
    pd.testing.assert_frame_equal(
        frame,
        CSVSerializer().deserialize_object(CSVSerializer().serialize_object(frame)),
        check_exact=True,
    )


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": ["1", "2"]}),
        pd.DataFrame({"x": [1.0, None]}),
        pd.DataFrame({"x": [1]}, index=["row"]),
        pd.DataFrame({0: [1]}),
        pd.DataFrame({"x": [1.0, 2.0]}, dtype="float32"),
    ],
)
def test_csv_refuses_what_it_would_change(frame: Any) -> None:
    """
    A frame that CSV cannot carry is refused when it is saved, not found broken later.
    """
    with pytest.raises(ValueError, match="would not come back from CSV as it is"):
        CSVSerializer().serialize_object(frame)


def test_csv_is_for_frames() -> None:
    """
    Anything but a frame is refused.
    """
    with pytest.raises(TypeError, match="a 'list' object cannot be saved as CSV"):
        CSVSerializer().serialize_object([1])


def test_skops() -> None:
    """
    A fitted model, or a chain of them, comes back with the same predictions.
    """
    rows, targets = np.array([[1.0], [2.0], [3.0]]), [1.0, 2.0, 2.5]
    model = make_pipeline(StandardScaler(), LinearRegression()).fit(rows, targets)

    again = SkopsSerializer().deserialize_object(SkopsSerializer().serialize_object(model))

    assert model.predict(rows).tolist() == again.predict(rows).tolist()


class Clip(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """
    A transformer of an app.
    """

    def __init__(self, upper: Any = 5.0) -> None:
        self.upper = upper

    def fit(self, X: Any, y: Any = None) -> Clip:  # noqa: N803
        self.n_features_in_ = 1
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        return np.minimum(X, self.upper)


def square(values: Any) -> Any:
    """
    A function of an app.
    """
    return np.asarray(values) ** 2


CLIP, SQUARE = f"{__name__}.Clip", f"{__name__}.square"


def own_types() -> Any:
    """
    A model with a class and a function that need trust.
    """
    return make_pipeline(Clip(), FunctionTransformer(square))


@pytest.mark.parametrize("configured", [[], [CLIP]])
def test_skops_refuses_at_save_what_could_not_be_loaded(
    configured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The error names all types at once, and its two lines of configuration work as written.
    """
    serializer = SkopsSerializer(configured)
    with pytest.raises(UntrustedArtifact) as caught:
        serializer.serialize_object(own_types())
    message = caught.value.message
    setting = re.search(r"set (CHARIOTS_SKOPS_TRUSTED)=(\S+) ", message)
    line = re.search(r"write serializer_cls = (.*) in the op", message)
    assert setting is not None
    assert line is not None

    given = eval(line[1])
    by_argument = given.serialize_object(own_types())
    monkeypatch.setenv(*setting.groups())
    by_setting = serializer.serialize_object(own_types())

    assert {CLIP, SQUARE} == given.trusted == serializer.trusted
    for data in (by_argument, by_setting):
        assert [4] == serializer.deserialize_object(data).transform([2]).tolist()


def test_the_setting_is_kept_in_the_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The line for the environment names what is trusted there already.
    """
    monkeypatch.setenv("CHARIOTS_SKOPS_TRUSTED", "other.Type")

    with pytest.raises(UntrustedArtifact, match=f"_TRUSTED=other.Type,{re.escape(CLIP)} for"):
        SkopsSerializer().serialize_object(Clip())


def test_skops_refuses_at_load_what_is_not_trusted_here() -> None:
    """
    A process without the configuration refuses what another one saved.
    """
    data = SkopsSerializer([CLIP]).serialize_object(Clip())

    with pytest.raises(UntrustedArtifact) as caught:
        SkopsSerializer().deserialize_object(data)

    for word in (f"not trusted here: {CLIP};", "CHARIOTS_SKOPS_TRUSTED", "SkopsSerializer("):
        assert word in caught.value.message


def test_skops_trusts_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Types are trusted by the argument, or by the setting, read when it is needed.
    """
    data = SkopsSerializer([CLIP]).serialize_object(Clip())
    by_setting = SkopsSerializer()
    monkeypatch.setenv("CHARIOTS_SKOPS_TRUSTED", f" {CLIP} ,")

    assert {CLIP} == by_setting.trusted
    assert 5.0 == by_setting.deserialize_object(data).upper
    monkeypatch.delenv("CHARIOTS_SKOPS_TRUSTED")
    assert frozenset() == by_setting.trusted


def test_skops_refuses_a_lambda_at_save() -> None:
    """
    The message names the lambda and its place, and gives a remedy.
    """
    with pytest.raises(UntrustedArtifact) as caught:
        SkopsSerializer([CLIP]).serialize_object(make_pipeline(FunctionTransformer(lambda x: x)))

    message = caught.value.message
    assert f"the model holds a lambda ({__file__}, line " in message
    assert f"such as {__name__}.transform, and write serializer_cls = SkopsSerializer(" in message
    assert f'trusted=["{CLIP}", "{__name__}.transform"]) in the op' in message


def test_skops_refuses_local_names_at_save() -> None:
    """
    A function or class inside a function is refused, also where the module has its name too.
    """

    def square(values: Any) -> Any:
        return values

    class Local(Clip):
        pass

    for model, word in (
        (FunctionTransformer(square), "the function 'test_skops_refuses_local_names"),
        (Local(), "the class 'test_skops_refuses_local_names"),
        (FunctionTransformer(functools.partial(square)), "the function"),
        (FunctionTransformer(kw_args={"kind": Local}), "the class"),
        (FunctionTransformer(kw_args={"a": np.array([[square, 1]], dtype=object)}), "function"),
    ):
        with pytest.raises(UntrustedArtifact, match="move it to the top level") as caught:
            SkopsSerializer([SQUARE, f"{__name__}.Local"]).serialize_object(model)
        assert word in caught.value.message


def test_names_that_are_gone_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A function that an app no longer has is named at load, without a word of other formats.
    """
    serializer = SkopsSerializer([SQUARE])
    data = serializer.serialize_object(FunctionTransformer(square))
    monkeypatch.delattr(sys.modules[__name__], "square")

    with pytest.raises(ArtifactCorrupt, match=r"cannot import .*'square'") as caught:
        serializer.deserialize_object(data)

    assert "another serializer" not in caught.value.message


def test_names_of_a_program_are_logged(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What only this program has is saved with a warning: other processes cannot import it.
    """

    def double(values: Any) -> Any:
        return values * 2

    double.__module__ = "__main__"
    monkeypatch.setattr(sys.modules["__main__"], "double", double, raising=False)
    with caplog.at_level(logging.WARNING, "chariots_ml"):
        SkopsSerializer(["__main__.double"]).serialize_object(FunctionTransformer(double))

    assert "__main__.double" in caplog.text


def test_models_that_skops_cannot_save() -> None:
    """
    A type that skops has no form for is an error at save, with the reason.
    """
    with pytest.raises(TypeError, match="a 'Birch' model cannot be saved by skops"):
        SkopsSerializer().serialize_object(Birch())


def test_models_that_skops_cannot_load_again() -> None:
    """
    A model that skops writes and cannot read is found when it is saved.
    """
    model = FunctionTransformer(kw_args={"a": defaultdict(int, {1: 2})})

    with pytest.raises(TypeError, match="was saved by skops, but cannot be loaded again"):
        SkopsSerializer([f"{int.__module__}.int"]).serialize_object(model)


def zipped(schema: bytes) -> bytes:
    """
    A file like one of skops, with another schema.
    """
    target = io.BytesIO()
    with ZipFile(target, "w") as file:
        file.writestr("schema.json", schema)
    return target.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b'{"mean":1}',
        b"PK\x05\x06" + bytes(18),
        zipped(b"[1]"),
        zipped(b"{}"),
        zipped(b"{"),
    ],
)
def test_skops_refuses_other_bytes(data: bytes) -> None:
    """
    Bytes of another format are corrupt, whatever they are.
    """
    with pytest.raises(
        ArtifactCorrupt, match=r"is not a skops file|cannot be read by this release of skops"
    ):
        SkopsSerializer().deserialize_object(data)


def test_skops_runs_no_code(tmp_path: Path) -> None:
    """
    An object that runs code when it is unpickled runs none on its way through skops.
    """
    made = tmp_path / "made"

    with pytest.raises((UntrustedArtifact, TypeError)):
        SkopsSerializer().deserialize_object(SkopsSerializer().serialize_object(Evil(made)))

    assert not made.exists()


@pytest.mark.parametrize("value", [None, "", "0", "no"])
def test_dill_is_refused_unless_trusted(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Without the word of the process, dill neither saves nor loads, and nothing runs.
    """
    made = tmp_path / "made"
    data = dill.dumps(Evil(made))
    if value is not None:
        monkeypatch.setenv("CHARIOTS_DILL_TRUSTED", value)

    with pytest.raises(UntrustedArtifact, match="set CHARIOTS_DILL_TRUSTED=1"):
        DillSerializer().deserialize_object(data)
    with pytest.raises(UntrustedArtifact, match="are not trusted here"):
        DillSerializer().serialize_object(1)
    assert not made.exists()


def test_dill_where_it_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    With the setting, or the argument, any object comes back, a lambda too.
    """
    trusted = DillSerializer(trusted=True)
    data = trusted.serialize_object(lambda number: number + 1)

    assert 4 == trusted.deserialize_object(data)(3)
    monkeypatch.setenv("CHARIOTS_DILL_TRUSTED", "1")
    assert 4 == DillSerializer().deserialize_object(data)(3)
    with pytest.raises(UntrustedArtifact):
        DillSerializer(trusted=False).deserialize_object(data)


def test_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A library that is not installed is named with the extra that brings it.
    """
    monkeypatch.setitem(sys.modules, "no_such_library", None)

    with pytest.raises(ImportError, match=r"pip install 'chariots-ml\[sklearn\]'"):
        import_library("no_such_library", extra="sklearn")


def test_broken_library_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A library that is there, and misses another one, raises its own error.
    """
    (tmp_path / "half_installed.py").write_text("import what_it_needs")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError, match="what_it_needs"):
        import_library("half_installed", extra="sklearn")
