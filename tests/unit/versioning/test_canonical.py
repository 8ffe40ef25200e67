"""
One byte sequence for each value, the same everywhere.
"""

from __future__ import annotations

import functools
import math
import operator
import re
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chariots_core.versioning.canonical import encode_value
from tests.support import printed_by_processes


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass
class Point:
    x: int
    y: int


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - the untyped kind is common too


class Box:
    def method(self) -> None: ...


hashable = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.floats()
values = st.recursive(
    hashable | st.decimals() | st.dates() | st.frozensets(hashable),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(hashable, inner),
    max_leaves=15,
)


def model(value: Any) -> object:
    """
    A value that is equal for two values exactly when they should have one form.
    """
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else value.hex())
    if isinstance(value, dict):
        return ("dict", frozenset((model(key), model(entry)) for key, entry in value.items()))
    if isinstance(value, frozenset):
        return ("set", frozenset(model(part) for part in value))
    if isinstance(value, list | tuple):
        return (type(value).__name__, tuple(model(part) for part in value))
    return (type(value).__name__, str(value))


@given(values, values)
def test_forms_are_equal_exactly_for_equal_values(left: Any, right: Any) -> None:
    """
    Two values have the same bytes if and only if they are of the same types and equal.
    """
    assert (model(left) == model(right)) == (encode_value(left) == encode_value(right))


@given(st.dictionaries(hashable, st.integers(), max_size=8), st.randoms())
def test_order_of_dicts_does_not_count(mapping: dict[Any, int], random: Any) -> None:
    """
    A dict has one form, however its entries were put in.
    """
    items = list(mapping.items())
    random.shuffle(items)

    assert encode_value(mapping) == encode_value(dict(items))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, "1"),
        (1, 1.0),
        (1, True),
        (0, None),
        ("a", b"a"),
        (["ab"], ["a", "b"]),
        ([1], (1,)),
        ([[1], 2], [[1, 2]]),
        ({"a": 1}, [("a", 1)]),
        ({1}, [1]),
        (0.0, -0.0),
        (1j, 1 + 1j),
        (1j, 1.0),
        (Colour.RED, Colour.BLUE),
        (Colour.RED, 1),
        (Point(1, 2), Point(2, 1)),
        (Pair(1, 2), (1, 2)),
        (len, max),
        (Colour, Point),
        (functools.partial(pow, 2), functools.partial(pow, 3)),
        (functools.partial(pow, 2), functools.partial(pow, exp=2)),
        (date(2020, 1, 1), datetime(2020, 1, 1, tzinfo=UTC)),
        (timedelta(1), timedelta(2)),
        (Decimal("1.0"), Decimal(1)),
        (Fraction(1, 2), 0.5),
        (UUID(int=0), UUID(int=1)),
        (range(3), range(4)),
        (slice(3), slice(4)),
        (re.compile("a"), re.compile("a", re.IGNORECASE)),
        (PurePosixPath("a"), "a"),
        (np.zeros(2), np.zeros((2, 1))),
        (np.zeros(2), np.zeros(2, dtype="f4")),
        (np.zeros(2), [0.0, 0.0]),
        (np.array([1, "a"], dtype=object), np.array([1, "b"], dtype=object)),
        (2**99, 2**99 + 1),
    ],
)
def test_different_values_have_different_forms(left: Any, right: Any) -> None:
    """
    Types count, and so does where one part ends and the next begins.
    """
    assert encode_value(left) != encode_value(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (np.int32(3), 3),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array([1, 2], dtype=">i4"), np.array([1, 2], dtype="<i4")),
        (np.array([[1, 2], [3, 4]]).T, np.array([[1, 3], [2, 4]])),
        (np.asfortranarray([[1, 2], [3, 4]]), np.array([[1, 2], [3, 4]])),
        ({1, 2}, frozenset([2, 1])),
        (math.nan, -math.nan),
    ],
)
def test_same_values_have_one_form(left: Any, right: Any) -> None:
    """
    How a value lies in memory, and that a number is numpy's, does not count.
    """
    assert encode_value(left) == encode_value(right)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (object(), "a 'object' object"),
        ([lambda: 1], "a lambda"),
        (Box().method, "a method of one object"),
        ((part for part in [1]), "a 'generator' object"),
        (operator.itemgetter(1), "object"),
        (np.zeros(1, dtype=[("a", "i4")]), "a structured or masked array"),
        (np.ma.masked_array([1]), "a structured or masked array"),
    ],
)
def test_values_without_a_form_are_refused(value: Any, word: str) -> None:
    """
    What differs from process to process is refused, with what to version instead.
    """
    with pytest.raises(TypeError, match="cannot be versioned") as caught:
        encode_value(value)

    assert word in str(caught.value)
    assert "version plain data" in str(caught.value)


def test_circles_are_refused() -> None:
    """
    A value that holds itself is an error, not a crash.
    """
    value: list[Any] = []
    value.append(value)

    with pytest.raises(TypeError, match="holds itself"):
        encode_value(value)


VERSIONS = """
import functools
from dataclasses import dataclass
from enum import Enum
import numpy as np
from sklearn.decomposition import PCA
from chariots_core.versioning import VersionedField, VersionedFieldDict, VersionType, version_of

@dataclass
class Point:
    x: int

class Colour(Enum):
    RED = 1

class Op:
    names = VersionedField({"b", "a", "c", "d", "e"}, VersionType.MAJOR)
    model = VersionedField(PCA, VersionType.MAJOR)
    array = VersionedField(np.arange(6.0).reshape(2, 3), VersionType.MINOR)
    point = VersionedField({Point: Point(3), Colour.RED: len}, VersionType.MINOR)
    call = VersionedField(functools.partial(sorted, reverse=True), VersionType.PATCH)
    parameters = VersionedFieldDict(VersionType.PATCH, {"b": {1: "x", "1": "y"}, "a": frozenset("abc")})

print(version_of(Op).identity)
"""


def test_versions_are_the_same_in_every_process() -> None:
    """
    Processes that hash text differently compute the same digests.
    """
    identities = printed_by_processes(VERSIONS, "0", "1", "2", "random")

    assert 1 == len(identities), identities


PROGRAM = """
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from enum import Enum
from multiprocessing import get_context
from chariots_core.versioning import VersionedField, VersionType, version_of

def clean(value):
    return value

class Model:
    depth = VersionedField(3, VersionType.MAJOR)

@dataclass
class Point:
    x: int

class Colour(Enum):
    RED = 1

class Op:
    function = VersionedField(clean, VersionType.MINOR)
    model = VersionedField(Model, VersionType.MAJOR)
    point = VersionedField([Point(3), Colour.RED], VersionType.PATCH)

def identity():
    return version_of(Op).identity

if __name__ == "__main__":
    print(identity())
    if sys.argv[1:] == ["again"]:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            print(pool.submit(identity).result())
"""


def printed(folder: Path, *arguments: str, program: str | None = None) -> list[str]:
    """
    What a new interpreter prints in *folder*.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        input=program,
        env={"PYTHONPATH": ":".join([str(folder), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (["app.py"], "app"),
        (["./package/../app.py"], "app"),
        (["-m", "app"], "app"),
        (["-m", "package.app"], "package.app"),
        (["-m", "package"], "package.__main__"),
        (["-m", "coverage", "run", "--data-file=data", "app.py"], "app"),
    ],
    ids=lambda given: given if isinstance(given, str) else " ".join(given),
)
def test_a_program_has_the_versions_of_its_module(
    tmp_path: Path, arguments: list[str], module: str
) -> None:
    """
    What is defined in the program that runs has the version that a worker sees, who imports it.
    """
    (tmp_path / "package").mkdir()
    for name in ("app", "package/__init__", "package/app", "package/__main__"):
        (tmp_path / f"{name}.py").write_text("" if name.endswith("_init__") else PROGRAM)

    imported = printed(tmp_path, "-c", f"import {module} as app; print(app.identity())")

    assert imported == printed(tmp_path, *arguments)


def test_a_program_that_multiprocessing_loads_again(tmp_path: Path) -> None:
    """
    A process that multiprocessing has spawned computes what its parent does.
    """
    (tmp_path / "app.py").write_text(PROGRAM)

    first, second = printed(tmp_path, "app.py", "again")

    assert first == second


@pytest.mark.parametrize("kind", ["-", "-c"])
def test_what_nobody_can_import_keeps_its_name(tmp_path: Path, kind: str) -> None:
    """
    A session has no module that others know: it is versioned as the program.
    """
    form = "from chariots_core.versioning.canonical import encode_value; print(encode_value(clean))"
    program = f"{PROGRAM}\n{form}\n"
    arguments = ["-"] if kind == "-" else ["-c", program]

    assert "b'F14:__main__:clean'" == printed(tmp_path, *arguments, program=program)[-1]


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (
            {"b": [1, -2.5, None, True], "a": ("x", b"y")},
            b"d59:s1:at8:s1:xy1:ys1:bl36:i1:1f21:-0x1.4000000000000p+1n0:b1:1",
        ),
        (len, b"F12:builtins:len"),
        (dict, b"C13:builtins:dict"),
        (frozenset({"b", "a"}), b"S8:s1:as1:b"),
        (255, b"i2:ff"),
        (date(2020, 1, 2), b"o16:4:date2020-01-02"),
    ],
)
def test_forms_are_those_of_all_times(value: Any, form: bytes) -> None:
    """
    The bytes of a value are fixed: stored versions stay comparable after an upgrade.
    """
    assert form == encode_value(value)
