"""
numpy and pandas values have one form each in JSON.
"""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from chariots_core import strict_json
from chariots_core.errors import NotJSONError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.int64(3), b"3"),
        (np.uint64(2**64 - 1), b"18446744073709551615"),
        (np.float64(0.5), b"0.5"),
        (np.float32(0.5), b"0.5"),
        (np.float16(0.5), b"0.5"),
        (np.longdouble(0.5), b"0.5"),
        (np.array([0.5, 2], dtype=np.longdouble), b"[0.5,2.0]"),
        (np.array([0.5, 2], dtype=np.float16), b"[0.5,2.0]"),
        (np.bool_(True), b"true"),
        (np.str_("a"), b'"a"'),
        ({"a": np.int8(1)}, b'{"a":1}'),
        (np.array([[1, 2], [3, 4]]), b"[[1,2],[3,4]]"),
        (np.array([0.5, 1.0]), b"[0.5,1.0]"),
        (np.array([True, False]), b"[true,false]"),
        (np.array(["a", "é"]), '["a","é"]'.encode()),
        (np.array(3), b"3"),
        (np.array([]), b"[]"),
        (np.zeros((2, 0)), b"[[],[]]"),
        (np.array([1, "a", None, (2,)], dtype=object), b'[1,"a",null,[2]]'),
        (np.array([1, 2], dtype=">i4"), b"[1,2]"),
        (np.array([[1, 2], [3, 4]])[:, 0], b"[1,3]"),
        (pd.Series([1, 2]), b"[1,2]"),
        (pd.Series(["a", "b"], dtype="category"), b'["a","b"]'),
        (pd.Series([1, 2], dtype="Int64"), b"[1,2]"),
        (pd.Index(["a", "b"]), b'["a","b"]'),
        (pd.RangeIndex(3), b"[0,1,2]"),
        (
            pd.DataFrame({"x": [1, 2], "y": ["a", "b"]}),
            b'[{"x":1,"y":"a"},{"x":2,"y":"b"}]',
        ),
        (pd.DataFrame({"x": [1]}, index=[7]), b'[{"x":1}]'),
        (pd.DataFrame({"x": []}), b"[]"),
        ({"rows": [np.arange(2), (np.float64(1),)]}, b'{"rows":[[0,1],[1.0]]}'),
    ],
)
def test_forms(value: Any, text: bytes) -> None:
    """
    A scalar is a Python value, an array nested lists, a frame a list of rows.
    """
    assert text == strict_json.encode(value)


@pytest.mark.parametrize(
    ("value", "path", "word"),
    [
        (np.float64("nan"), "$", "no JSON number"),
        ({"a": np.array([[1, 2], [3, np.inf]])}, "$.a[1][1]", "no JSON number"),
        (np.array([1, b"x"], dtype=object), "$[1]", "base64"),
        (np.array([0, np.finfo(np.longdouble).max]), "$[1]", "no JSON number"),
        (np.longdouble("-inf"), "$", "no JSON number"),
        (np.float32("nan"), "$", "no JSON number"),
        (np.array(["\ud800"]), "$[0]", "surrogate"),
        (np.array([1 + 2j]), "$", "complex128"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "$", "datetime64"),
        (np.array([b"x"]), "$", "dtype"),
        (np.zeros(1, dtype=[("a", "i4")]), "$", "dtype"),
        (np.ma.masked_array([1, 2], mask=[False, True]), "$", "masked"),
        (pd.Series([1.0, None]), "$[1]", "no JSON number"),
        (pd.Series([1, None], dtype="Int64"), "$[1]", "missing value"),
        (pd.Series(pd.to_datetime(["2020-01-01"])), "$[0]", "isoformat"),
        (pd.Series([pd.NaT]), "$[0]", "missing value"),
        (pd.DataFrame({"x": [1.0], "y": [math.nan]}), "$[0].y", "no JSON number"),
        (pd.DataFrame({0: [1]}), "$", "column 0 has no text name"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "$", "one name"),
        ([pd.NA], "$[0]", "missing value"),
        ([csr_matrix([[1, 0]])], "$[0]", "toarray()"),
    ],
)
def test_refusals(value: Any, path: str, word: str) -> None:
    """
    What has no such form is refused, with the path of the value inside the array.
    """
    with pytest.raises(NotJSONError) as caught:
        strict_json.encode(value)

    assert path == caught.value.path
    assert word in caught.value.message


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_floats_of_arrays_come_back(numbers: list[float]) -> None:
    """
    Double precision numbers of an array come back to the last bit.
    """
    data = strict_json.encode(np.array(numbers, dtype=float))

    assert repr(numbers) == repr(strict_json.decode(data))


def test_numpy_is_not_imported() -> None:
    """
    Writing plain values does not load numpy or pandas.
    """
    code = (
        "import sys; from chariots_core import strict_json; strict_json.encode([1, (2.5,)]); "
        "print(sorted({'numpy', 'pandas'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout
