"""
Plain data as JSON, and what JSON cannot carry.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chariots_core import strict_json
from chariots_core.errors import NotJSONError


class Plain(Enum):
    ONE = 1


class Number(IntEnum):
    ONE = 1


class Text(StrEnum):
    ONE = "one"


class Name(str):
    __slots__ = ()


class Count(int):
    pass


class Share(float):
    pass


Point = namedtuple("Point", "x y")  # noqa: PYI024 - the untyped kind is common too

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**62, max_value=2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=25,
)


def same(left: Any, right: Any) -> bool:
    """
    Whether two JSON values are the same, kinds of numbers and signs of zero included.
    """
    return repr(left) == repr(right)


def followed(value: Any, path: str) -> Any:
    """
    What stands in *value* at *path*.
    """
    steps = re.findall(r"\.(\w+)|\[(\d+)\]|\[(\"(?:[^\"\\]|\\.)*\")\]", path)
    for name, index, quoted in steps:
        value = value[int(index) if index else json.loads(quoted) if quoted else name]
    return value


@given(json_values)
def test_round_trip(value: Any) -> None:
    """
    Whatever JSON can carry comes back as it was: big integers and zero's sign too.
    """
    assert same(value, strict_json.decode(strict_json.encode(value)))


@given(json_values)
def test_text_is_read_by_others(value: Any) -> None:
    """
    The standard library reads the text that is written, and the other way round.
    """
    assert same(value, json.loads(strict_json.encode(value)))
    assert same(value, strict_json.decode(json.dumps(value)))


@given(json_values)
def test_plain_values_stay_as_they_are(value: Any) -> None:
    """
    The walk changes nothing of a value that is plain already.
    """
    assert same(value, strict_json.to_plain(value))


@given(json_values, st.lists(st.text() | st.integers(0, 3), max_size=6))
def test_path_leads_to_the_value_at_fault(beside: Any, keys: list[str | int]) -> None:
    """
    The path of the error, followed from the root, ends at the value that is no JSON.
    """
    bad = b"no JSON"
    value: Any = bad
    for key in reversed(keys):
        value = {"": beside, key: value} if isinstance(key, str) else [beside] * key + [value]

    with pytest.raises(NotJSONError) as caught:
        strict_json.encode(value)

    assert followed(value, caught.value.path) is bad


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((1, (2, 3)), b"[1,[2,3]]"),
        (Point(1, 2), b"[1,2]"),
        (OrderedDict(a=1), b'{"a":1}'),
        (defaultdict(list, a=[1]), b'{"a":[1]}'),
        ({Name("a"): Name("b")}, b'{"a":"b"}'),
        ([Count(3), Share(0.5)], b"[3,0.5]"),
        (None, b"null"),
        ({}, b"{}"),
        ("grüße \U0001f600", '"grüße \U0001f600"'.encode()),
        ({"grüße": ()}, '{"grüße":[]}'.encode()),
        (2**64, b"18446744073709551616"),
        (-(2**70), b"-1180591620717411303424"),
    ],
)
def test_forms(value: Any, text: bytes) -> None:
    """
    Tuples are lists, subclasses are what they extend, integers of any size are exact.
    """
    assert text == strict_json.encode(value)


@pytest.mark.parametrize(
    ("value", "path", "word"),
    [
        (math.nan, "$", "no JSON number"),
        ([1.0, math.inf], "$[1]", "no JSON number"),
        ({"a": [0, 0, 0, {"b": -math.inf}]}, "$.a[3].b", "no JSON number"),
        ({"a": (1, math.nan)}, "$.a[1]", "no JSON number"),
        ({"a b": math.nan}, '$["a b"]', "no JSON number"),
        ({"": [math.nan]}, '$[""][0]', "no JSON number"),
        ({"ü": math.nan}, '$["\\u00fc"]', "no JSON number"),
        ({"a": {1: 2}}, "$.a", "key 1 is no text"),
        ({"a": {None: 2}}, "$.a", "key None is no text"),
        ({Text.ONE: 2}, "$", "is no text"),
        ([b"x"], "$[0]", "base64"),
        ([bytearray(b"x")], "$[0]", "base64"),
        ([{1, 2}], "$[0]", "send a list"),
        ([frozenset()], "$[0]", "send a list"),
        ([datetime(2020, 1, 1, tzinfo=UTC)], "$[0]", "isoformat"),
        ([date(2020, 1, 1)], "$[0]", "isoformat"),
        ([UUID(int=0)], "$[0]", "'uuid.UUID' object"),
        ([Decimal(1)], "$[0]", "'decimal.Decimal' object"),
        ([Plain.ONE], "$[0]", "Enum"),
        ([Number.ONE], "$[0]", "Enum"),
        ([Text.ONE], "$[0]", "Enum"),
        ([Share("nan")], "$[0]", "no JSON number"),
        ([1 + 2j], "$[0]", "'complex' object"),
        ([object()], "$[0]", "'object' object"),
        ([MappingProxyType({})], "$[0]", "'mappingproxy' object"),
        ([range(3)], "$[0]", "'range' object"),
        ([iter([1])], "$[0]", "'list_iterator' object"),
        (["\ud800"], "$[0]", "surrogate"),
        ({"\ud800": 1}, "$", "surrogate"),
        ({"a": "é\udfff"}, "$.a", "surrogate"),
    ],
)
def test_refusals(value: Any, path: str, word: str) -> None:
    """
    What JSON cannot carry is refused, with its path and what to do.
    """
    with pytest.raises(NotJSONError) as caught:
        strict_json.encode(value)

    assert path == caught.value.path
    assert f"value at {path} cannot be JSON" in caught.value.message
    assert word in caught.value.message


def test_circles_are_refused() -> None:
    """
    A value that holds itself is refused where the circle begins, whatever it goes through.
    """
    inner: dict[str, Any] = {}
    value = {"a": [inner]}
    inner["tuple"] = (value,)

    with pytest.raises(NotJSONError, match="it holds itself"):
        strict_json.encode(value)


def test_same_part_twice_is_no_circle() -> None:
    """
    One list in two places is written twice.
    """
    part = [1]

    assert b"[[1],[1]]" == strict_json.encode([part, part])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda value: [value],
        lambda value: (value,),
        lambda value: {"a": value},
        lambda value: {"é": value},
        lambda value: OrderedDict(a=value),
    ],
)
def test_depth_is_bounded(wrap: Callable[[Any], Any]) -> None:
    """
    A value as deep as allowed is written; one level more is an error, not a crash.
    """
    value: Any = wrap(1)
    for _ in range(strict_json.MAX_DEPTH):
        value = wrap(value)

    assert b"1" in strict_json.encode(value)
    with pytest.raises(NotJSONError, match="nested more than 200 deep"):
        strict_json.encode(wrap(value))


def test_arguments_are_not_changed() -> None:
    """
    Converting a part copies what holds it, and leaves the argument alone.
    """
    value = {"a": [(1, 2)], "b": [1]}

    plain = strict_json.to_plain(value)

    assert {"a": [[1, 2]], "b": [1]} == plain
    assert {"a": [(1, 2)], "b": [1]} == value


def test_integers_without_text_are_refused() -> None:
    """
    An integer with more digits than the interpreter writes is an error of ours.
    """
    with pytest.raises(NotJSONError, match="send it as text"):
        strict_json.encode([10**5000])


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "[1,]",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "'a'",
        "01",
        "nul",
        '{"a":1,}',
        "{1:2}",
        '"\\ud800"',
        b'"\xff"',
        "\ufeff1",
        "1 2",
    ],
)
def test_malformed_text_is_refused(text: str | bytes) -> None:
    """
    What is no strict JSON is one kind of error, whatever is wrong with it.
    """
    with pytest.raises(NotJSONError, match="text is no strict JSON"):
        strict_json.decode(text)


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("1" * 4301, "$", r"^number cannot be read: it is an integer of more than 4300 digits; se"),
        (f"[1, -{'1' * 5000}]", "$[1]", r"^number at \$\[1\] cannot .* digits; send it as text$"),
        ("1e999", "$", r"^number cannot be read: it is beyond 1\.8e\+308, the largest float; send"),
        ("[[2, -1e999]]", "$[0][1]", r"^number at \$\[0\]\[1\] .* send a smaller number, or text$"),
        ("1" * 5000 + ".5", "$", "^number cannot be read: it is beyond"),
    ],
    ids=["digits", "digits-below", "float", "float-below", "float-of-many-digits"],
)
def test_numbers_that_cannot_be_read(text: str, path: str, message: str) -> None:
    """
    JSON has numbers that Python has not: the error says which bound they are over.
    """
    with pytest.raises(NotJSONError, match=message) as caught:
        strict_json.decode(text)

    assert path == caught.value.path
    assert caught.value.reason in str(caught.value)


def test_integers_within_the_bound_are_exact() -> None:
    """
    The longest integer that is read is read exactly.
    """
    assert 10**4300 - 1 == strict_json.decode("9" * 4300)


def test_a_lower_bound_of_the_interpreter_is_told() -> None:
    """
    Where the interpreter reads fewer digits, the message has that number.
    """
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(700)
    try:
        with pytest.raises(NotJSONError, match="more than 700 digits"):
            strict_json.decode("1" * 701)
    finally:
        sys.set_int_max_str_digits(before)


def test_text_that_is_nested_too_deep() -> None:
    """
    Text that is too deep even to be parsed is refused as such.
    """
    with pytest.raises(NotJSONError, match=r"^text cannot be read: it is nested .* flatter value$"):
        strict_json.decode("[" * 100_000)


def test_all_kinds_of_text_are_read() -> None:
    """
    Text may be bytes, a view of them, or str.
    """
    texts: list[bytes | bytearray | memoryview | str] = [
        b"[1]",
        bytearray(b"[1]"),
        memoryview(b"[1]"),
        "[1]",
    ]

    assert [[1]] * 4 == [strict_json.decode(text) for text in texts]


def test_error_is_a_value_error() -> None:
    """
    Who does not know Chariots' errors catches a ValueError.
    """
    with pytest.raises(ValueError, match="cannot be JSON"):
        strict_json.encode({1})


@pytest.mark.parametrize(
    ("text", "is_deep"),
    [
        ("[" * 201 + "]" * 201, False),
        ("[" * 202 + "1" + "]" * 202, True),
        ('{"a":' * 202 + "1" + "}" * 202, True),
        ('[{"a":' * 101 + "1" + "}]" * 101, True),
        ('"' + "[" * 500 + '"', False),
        ("[" + ",".join(["[{}]"] * 500) + "]", False),
    ],
)
def test_what_is_read_is_as_deep_as_what_is_written(text: str, is_deep: bool) -> None:
    """
    Text that nests deeper than a value may is refused as it is read.
    """
    if not is_deep:
        assert json.loads(text) == strict_json.decode(text)
        return
    with pytest.raises(NotJSONError, match="nested more than 200 deep"):
        strict_json.decode(text)
