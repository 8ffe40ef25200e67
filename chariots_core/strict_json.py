"""
JSON that says what it means, or says why it cannot.

A value is walked before it is encoded. What JSON cannot carry (NaN, bytes,
sets, keys that are no text, objects) is a `NotJSONError` with the path of the
first such part; nothing turns silently into something else. Tuples become
lists. numpy and pandas values have one form each:

============================  =========================================
numpy scalar                  the Python number, truth value or text
numpy array                   nested lists
pandas Series, Index          a list of the values
pandas DataFrame              a list of objects, one for each row
============================  =========================================
"""

from __future__ import annotations

import json
import re
import sys
from enum import Enum
from math import isfinite
from typing import Any, Final, NoReturn

import msgspec

from chariots_core.errors import NotJSONError

MAX_DEPTH: Final = 200

#: Of an integer; the time to read one grows with their square.
MAX_DIGITS: Final = 4300

_Path = tuple[Any, Any, Any] | None
"""(the path of the container, the container, the key or index in it); ``None``: the root."""

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_EXACT: Final = frozenset({int, bool, type(None)})
_FLOAT: Final = {float}
_OUT_OF_RANGE: Final = re.compile(
    r"(?P<kind>Integer value|Number) out of range(?: - at `(?P<path>.*)`)?"
)
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder()


def encode(value: object) -> bytes:
    """
    *value* as JSON text in UTF-8.

    >>> encode({"rows": [(1, 2.5), None]})
    b'{"rows":[[1,2.5],null]}'
    >>> encode({"rows": [1.0, float("nan")]})
    Traceback (most recent call last):
    chariots_core.errors.NotJSONError: value at $.rows[1] cannot be JSON: ...

    Raises:
        NotJSONError: a part of *value* has no JSON form.
    """
    plain = to_plain(value)
    try:
        return _ENCODER.encode(plain)
    except ValueError as error:
        # the interpreter bounds the decimal text of an integer; see sys.set_int_max_str_digits
        reason = f"it holds an integer that has no decimal text ({error})"
        raise NotJSONError(
            f"value cannot be JSON: {reason}; send it as text", reason=reason
        ) from error


def decode(data: bytes | bytearray | memoryview | str) -> Any:
    """
    The value that the JSON text *data* stands for.

    Integers are exact up to 4,300 digits, or fewer where `sys.set_int_max_str_digits`
    says so. Other numbers are floats, the nearest ones.

    >>> decode('{"n": 123456789012345678901234567890}')
    {'n': 123456789012345678901234567890}

    Raises:
        NotJSONError: *data* is not strict JSON, nested more than `MAX_DEPTH` deep,
            or holds a longer integer, or a number beyond the floats.
    """
    try:
        value = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _malformed(error) from error
    if _may_be_deep(data):
        to_plain(value)  # refuses what is too deep, and says where
    return value


def _may_be_deep(data: bytes | bytearray | memoryview | str) -> bool:
    """
    Whether JSON text might nest deeper than `MAX_DEPTH`; where it says no, it does not.

    Empty pairs of brackets are taken out until nothing is left, the innermost
    first: far quicker than a walk of the value. A round takes out two levels at
    most. Brackets in texts may stay: then the answer is yes.
    """
    raw = data.encode() if isinstance(data, str) else bytes(data)
    brackets = raw.translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH // 2):
        if not brackets:
            return False
        left = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(left) == len(brackets):
            return True
        brackets = left
    return bool(brackets)


def to_plain(value: object) -> Any:
    """
    *value* as lists, dicts with text keys, text, numbers, truth values and ``None``.

    What is plain already is not copied: the result may share parts with *value*.

    Raises:
        NotJSONError: a part of *value* has no such form.
    """
    return _walk(value, None, 0)


def _walk(value: Any, path: _Path, depth: int) -> Any:
    """
    *value* itself where it is plain already; a changed copy where it is not.
    """
    kind = type(value)
    if kind in _EXACT:
        return value
    if kind is str:
        return value if value.isascii() else _checked_text(value, path)
    if kind is float:
        return value if isfinite(value) else _refuse_number(value, path)
    if depth > MAX_DEPTH:
        _refuse_depth(value, path)
    if kind is list:
        return _walk_list(value, path, depth)
    if kind is dict:
        return _walk_dict(value, path, depth)
    if kind is tuple:
        return _walk_list(list(value), path, depth)
    return _walk_other(value, path, depth)


def _walk_list(value: list[Any], path: _Path, depth: int) -> list[Any]:
    kinds = set(map(type, value))
    if kinds <= _EXACT or (kinds == _FLOAT and all(map(isfinite, value))):
        return value
    changed: list[Any] | None = None
    for index, item in enumerate(value):
        kind = type(item)
        if kind in _EXACT or (item.isascii() if kind is str else kind is float and isfinite(item)):
            continue
        plain = _walk(item, (path, value, index), depth + 1)
        if plain is not item:
            changed = list(value) if changed is None else changed
            changed[index] = plain
    return value if changed is None else changed


def _walk_dict(value: dict[Any, Any], path: _Path, depth: int) -> dict[str, Any]:
    changed: dict[str, Any] | None = None
    for key, item in value.items():
        if type(key) is not str or not key.isascii():
            return _walk_keys(value, path, depth)
        kind = type(item)
        if kind in _EXACT or (item.isascii() if kind is str else kind is float and isfinite(item)):
            continue
        plain = _walk(item, (path, value, key), depth + 1)
        if plain is not item:
            changed = dict(value) if changed is None else changed
            changed[key] = plain
    return value if changed is None else changed


def _walk_keys(value: dict[Any, Any], path: _Path, depth: int) -> dict[str, Any]:
    """
    The same for a dict whose keys are to be looked at one by one.
    """
    return {
        _checked_key(key, path): _walk(item, (path, value, key), depth + 1)
        for key, item in value.items()
    }


def _walk_other(value: Any, path: _Path, depth: int) -> Any:
    if isinstance(value, Enum):
        _refuse(path, f"{value} is a member of an Enum", "send its value or its name")
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
        return _walk_numpy(numpy, value, path, depth)
    pandas = sys.modules.get("pandas")
    if pandas is not None:
        if isinstance(value, pandas.Series | pandas.Index):
            return _walk(value.tolist(), path, depth)
        if isinstance(value, pandas.DataFrame):
            return _walk(_rows(value, path), path, depth)
        if value is pandas.NA or value is pandas.NaT:
            _refuse(path, "it is a missing value of pandas", "replace it by None or fill it")
    # subclasses say no more in JSON than what they extend
    for base in (str, int, float, dict, list, tuple):
        if isinstance(value, base):
            return _walk(_as_base(base, value), path, depth)
    return _refuse(path, f"it is a {_kind_name(value)!r} object", _remedy(value))


def _kind_name(value: object) -> str:
    """
    The name of the class of *value*, with its module where that is not ``builtins``.
    """
    kind = type(value)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _as_base(base: type, value: Any) -> Any:
    if base is str:
        return str.__str__(value)
    if base is int:
        return int.__int__(value)
    if base is float:
        return float.__float__(value)
    return base(value)


def _walk_numpy(numpy: Any, value: Any, path: _Path, depth: int) -> Any:
    kind = value.dtype.kind
    if isinstance(value, numpy.ma.MaskedArray):
        _refuse(path, "it is a masked array", "fill it: array.filled(...).tolist()")
    if kind in "biu":
        return value.tolist()
    if kind == "f":
        if value.dtype.itemsize > 8:
            # wider floats than Python's own have no exact form there, nor in JSON
            with numpy.errstate(over="ignore"):
                value = numpy.asarray(value, dtype=float)
        if numpy.isfinite(value).all():
            return value.tolist()
    elif kind not in "UO":
        _refuse(
            path,
            f"it is a numpy value of dtype {str(value.dtype)!r}",
            "turn it into numbers or text first",
        )
    return _walk(value.tolist(), path, depth)


def _rows(frame: Any, path: _Path) -> list[dict[Any, Any]]:
    names = list(frame.columns)
    for name in names:
        if not isinstance(name, str):
            _refuse(path, f"its column {name!r} has no text name", "rename the columns to text")
    if len(set(names)) < len(names):
        _refuse(path, "two of its columns have one name", "rename them")
    columns = [frame.iloc[:, index].tolist() for index in range(len(names))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _checked_key(key: object, path: _Path) -> str:
    if isinstance(key, str) and not isinstance(key, Enum):
        return _checked_text(str.__str__(key), path)
    return _refuse(path, f"its key {key!r} is no text", "use text keys")


def _checked_text(text: str, path: _Path) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(path, f"text {text!r:.80} holds half a surrogate pair", "repair the text")
    return text


def _refuse_number(value: float, path: _Path) -> NoReturn:
    _refuse(path, f"{value} is no JSON number", "replace it by None or a finite number")


def _refuse_depth(value: object, path: _Path) -> NoReturn:
    held = path
    while held is not None:
        if held[1] is value:
            _refuse(held, "it holds itself", "remove the circle")
        held = held[0]
    _refuse(path, f"it is nested more than {MAX_DEPTH} deep", "send a flatter value")


def _remedy(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return "decode it to text, or send base64 text"
    if isinstance(value, set | frozenset):
        return "send a list, sorted(...) for a stable order"
    if hasattr(value, "isoformat"):
        return "send its isoformat() text"
    if hasattr(value, "toarray"):
        return "send its toarray()"
    return "send plain lists, dicts, text and numbers"


def _refuse(path: _Path, reason: str, remedy: str) -> NoReturn:
    where = _shown(path)
    raise NotJSONError(
        f"value at {where} cannot be JSON: {reason}; {remedy}", path=where, reason=reason
    )


def _shown(path: _Path) -> str:
    parts: list[str] = []
    while path is not None:
        path, _, key = path
        if isinstance(key, str):
            parts.append(f".{key}" if _IDENTIFIER.fullmatch(key) else f"[{json.dumps(key)}]")
        else:
            parts.append(f"[{key}]")
    return "$" + "".join(reversed(parts))


def _malformed(error: Exception) -> NotJSONError:
    if isinstance(error, RecursionError):
        reason = f"it is nested more than {MAX_DEPTH} deep"
        return NotJSONError(f"text cannot be read: {reason}; send a flatter value", reason=reason)
    if found := _OUT_OF_RANGE.fullmatch(str(error)):
        return _unreadable_number(is_integer=found["kind"] == "Integer value", path=found["path"])
    return NotJSONError(f"text is no strict JSON: {error}; send JSON in UTF-8", reason=str(error))


def _unreadable_number(*, is_integer: bool, path: str | None) -> NotJSONError:
    """
    The text is strict JSON: it is Python that has no such number, or refuses to read it.
    """
    if is_integer:
        digits = min(MAX_DIGITS, sys.get_int_max_str_digits() or MAX_DIGITS)
        reason, remedy = f"it is an integer of more than {digits} digits", "send it as text"
    else:
        reason = f"it is beyond {sys.float_info.max:.2g}, the largest float"
        remedy = "send a smaller number, or text"
    where = "" if path is None else f" at {path}"
    return NotJSONError(
        f"number{where} cannot be read: {reason}; {remedy}", path=path or "$", reason=reason
    )
