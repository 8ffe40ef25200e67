"""
Bytes from models and back; what is trusted is the process's own word.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from chariots_core.errors import ArtifactCorrupt, NotJSONError, UntrustedArtifact
from chariots_ml.serializers import (
    BaseSerializer,
    CSVSerializer,
    DillSerializer,
    JSONSerializer,
    SkopsSerializer,
)
from chariots_ml.serializers.base import import_library

TREE = "sklearn.tree._tree.Tree"


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


@pytest.fixture(name="tree")
def _tree() -> bytes:
    return SkopsSerializer([TREE]).serialize_object(DecisionTreeRegressor().fit([[1], [2]], [1, 2]))


def test_skops_refuses_types_that_are_not_trusted(tree: bytes) -> None:
    """
    The error names the types, the setting and the argument.
    """
    with pytest.raises(UntrustedArtifact) as caught:
        SkopsSerializer().deserialize_object(tree)

    for word in (TREE, "CHARIOTS_SKOPS_TRUSTED", "SkopsSerializer(trusted=[...])"):
        assert word in caught.value.message


def test_skops_trusts_what_it_is_told(tree: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Types are trusted by the argument, or by the setting, read when it is needed.
    """
    by_setting = SkopsSerializer()
    monkeypatch.setenv("CHARIOTS_SKOPS_TRUSTED", f" {TREE} ,")

    assert {TREE} == by_setting.trusted
    assert [1.0] == by_setting.deserialize_object(tree).predict([[1]]).tolist()
    monkeypatch.delenv("CHARIOTS_SKOPS_TRUSTED")
    assert frozenset() == by_setting.trusted
    assert [2.0] == SkopsSerializer([TREE]).deserialize_object(tree).predict([[2]]).tolist()


def test_skops_warns_of_what_could_not_be_loaded(caplog: pytest.LogCaptureFixture) -> None:
    """
    Saving a type that is not trusted here is logged, with the setting; a trusted one is not.
    """
    model = DecisionTreeRegressor().fit([[1], [2]], [1, 2])

    with caplog.at_level(logging.WARNING, "chariots_ml"):
        SkopsSerializer([TREE]).serialize_object(model)
        assert [] == caplog.messages
        SkopsSerializer().serialize_object(model)

    assert TREE in caplog.messages[0]
    assert "CHARIOTS_SKOPS_TRUSTED" in caplog.messages[0]


@pytest.mark.parametrize("data", [b"", b"garbage", b'{"mean":1}', b"PK\x05\x06" + bytes(18)])
def test_skops_refuses_other_bytes(data: bytes) -> None:
    """
    Bytes of another format are corrupt, whatever they are.
    """
    with pytest.raises(ArtifactCorrupt, match="is no skops file"):
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
