"""
One byte sequence for each value, the same in every process and on every machine.

Every entry carries a tag of its type, and its length where it has one, so that
two different values never give the same bytes: ``1`` and ``"1"``, ``["ab"]`` and
``["a", "b"]`` differ. What has no such form (an object whose text shows its
address, a lambda, an open file) is refused.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any, Final, cast
from uuid import UUID

import attrs

Special = Callable[[object, str], bytes | None]
"""Asked first for each value that is not plain: its bytes, or ``None`` for 'not mine'."""

MAX_DEPTH: Final = 100

#: What a module is called where it is the program, and where multiprocessing has
#: loaded that program once more.
_PROGRAMS: Final = frozenset({"__main__", "__mp_main__"})

_REMEDY: Final = (
    "version plain data (numbers, text, lists, dicts), a class, a function or a dataclass, "
    "and build the object from it in the op"
)


def encode_value(value: object, special: Special | None = None, path: str = "$") -> bytes:
    """
    The canonical bytes of *value*.

    Args:
        value: what to encode.
        special: is asked first for each part that is not plain data.
        path: where *value* stands, for messages.

    Raises:
        TypeError: a part of *value* has no canonical form; the message names
            the part and what to version in its place.
    """
    return _Encoder(special).encode(value, path, 0)


def qualified_name(named: type | Callable[..., Any]) -> str:
    """
    ``module:qualified name`` of a class or function, as a process knows it that imports it.
    """
    module = named.__module__
    if module in _PROGRAMS:
        module = _imported_name(module)
    return f"{module}:{named.__qualname__}"


def _imported_name(program: str) -> str:
    """
    The name under which others import the module that this process was started with.

    A notebook or a session is no file, and nobody can import it: it keeps *program*.
    """
    module = sys.modules.get(program)
    # python -m package.app
    name = getattr(getattr(module, "__spec__", None), "name", None)
    if isinstance(name, str) and name not in _PROGRAMS:
        return name
    # python app.py; what comes from a pipe is called <stdin>
    file = getattr(module, "__file__", None)
    return PurePath(file).stem if isinstance(file, str) and file[:1] != "<" else program


class _Encoder:
    def __init__(self, special: Special | None) -> None:
        self._special = special

    def encode(self, value: object, path: str, depth: int) -> bytes:
        if depth > MAX_DEPTH:
            raise TypeError(
                f"value at {path[:200]} is nested more than {MAX_DEPTH} deep, or holds itself: "
                "version a flatter value"
            )
        plain = _PLAIN.get(type(value))
        if plain is not None:
            return plain(value)
        if self._special is not None:
            own = self._special(value, path)
            if own is not None:
                return own
        return self._encode_other(value, path, depth + 1)

    def _encode_other(self, value: object, path: str, depth: int) -> bytes:
        if isinstance(value, Enum):
            return _tagged(b"e", f"{qualified_name(type(value))}.{value.name}".encode())
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
            return self._encode_numpy(numpy, value, path, depth)
        if isinstance(value, type):
            return _tagged(b"C", qualified_name(value).encode())
        if callable(value):
            return self._encode_callable(value, path, depth)
        if isinstance(value, list | tuple):
            tag = b"l" if isinstance(value, list) else b"t"
            return self._encode_sequence(_subclass(tag, value, list, tuple), value, path, depth)
        if isinstance(value, Mapping):
            return self._encode_mapping(b"d", value, path, depth)
        if isinstance(value, AbstractSet):
            parts = sorted(self.encode(part, f"{path}{{}}", depth) for part in value)
            return _tagged(b"S", b"".join(parts))
        return self._encode_object(value, path, depth)

    def _encode_sequence(self, tag: bytes, parts: Iterable[object], path: str, depth: int) -> bytes:
        encoded = (self.encode(part, f"{path}[{index}]", depth) for index, part in enumerate(parts))
        return _tagged(tag, b"".join(encoded))

    def _encode_mapping(
        self, tag: bytes, mapping: Mapping[Any, object], path: str, depth: int
    ) -> bytes:
        items = [
            (self.encode(key, f"{path} key {key!r}", depth), f"{path}[{key!r}]", value)
            for key, value in mapping.items()
        ]
        items.sort(key=lambda item: item[0])
        return _tagged(
            tag,
            b"".join(key + self.encode(value, where, depth) for key, where, value in items),
        )

    def _encode_callable(self, value: Callable[..., Any], path: str, depth: int) -> bytes:
        if isinstance(value, functools.partial):
            parts = (value.func, value.args, value.keywords)
            return self._encode_sequence(b"p", parts, path, depth)
        owner = getattr(value, "__self__", None)
        if owner is not None and not isinstance(owner, types.ModuleType | type):
            raise _refused(value, path, "a method of one object")
        name = getattr(value, "__qualname__", None)
        if name is None or getattr(value, "__module__", None) is None:
            return self._encode_object(value, path, depth)
        if "<lambda>" in name:
            raise _refused(value, path, "a lambda, which has no name: define it with def")
        return _tagged(b"F", qualified_name(value).encode())

    def _encode_numpy(self, numpy: Any, value: Any, path: str, depth: int) -> bytes:
        kind = value.dtype.kind
        if isinstance(value, numpy.generic) and kind in "biufcUS" and value.dtype.itemsize <= 8:
            return self.encode(value.item(), path, depth)
        array = numpy.asarray(value)
        if kind == "O":
            return self._encode_sequence(b"A", (array.shape, *array.ravel().tolist()), path, depth)
        if kind == "V" or isinstance(value, numpy.ma.MaskedArray):
            raise _refused(value, path, "a structured or masked array")
        little = numpy.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        # shape of the original: ascontiguousarray makes one dimension out of none
        parts = (little.dtype.str, array.shape, little.tobytes())
        return self._encode_sequence(b"N", parts, path, depth)

    def _encode_object(self, value: object, path: str, depth: int) -> bytes:
        text = _TEXT_FORMS.get(type(value))
        if text is None and isinstance(value, PurePath):
            text = PurePath.as_posix
        if text is not None:
            name = type(value).__qualname__.encode()
            return _tagged(b"o", _tagged(b"", name) + text(value).encode())
        fields = _fields_of(value)
        if fields is None:
            raise _refused(value, path, f"a {type(value).__qualname__!r} object")
        name = _tagged(b"", qualified_name(type(value)).encode())
        return _tagged(b"D", name + self._encode_mapping(b"d", fields, path, depth))


def _tagged(tag: bytes, body: bytes) -> bytes:
    return b"%s%d:%s" % (tag, len(body), body)


def _encode_int(value: Any) -> bytes:
    # hexadecimal: decimal text of a huge number is bounded by the interpreter
    return _tagged(b"i", f"{value:x}".encode())


def _encode_float(value: Any) -> bytes:
    return _tagged(b"f", b"nan" if math.isnan(value) else value.hex().encode())


def _encode_complex(value: Any) -> bytes:
    return _tagged(b"c", _encode_float(value.real) + _encode_float(value.imag))


_PLAIN: Final[Mapping[type, Callable[[Any], bytes]]] = {
    type(None): lambda _: b"n0:",
    bool: lambda value: b"b1:1" if value else b"b1:0",
    int: _encode_int,
    float: _encode_float,
    complex: _encode_complex,
    str: lambda value: _tagged(b"s", value.encode("utf-8", "surrogatepass")),
    bytes: lambda value: _tagged(b"y", value),
    bytearray: lambda value: _tagged(b"y", bytes(value)),
}

_TEXT_FORMS: Final[Mapping[type, Callable[[Any], str]]] = {
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: lambda value: f"{value.days}:{value.seconds}:{value.microseconds}",
    Decimal: str,
    Fraction: str,
    UUID: str,
    range: repr,
    slice: lambda value: repr((value.start, value.stop, value.step)),
    re.Pattern: lambda value: f"{value.flags}:{value.pattern!r}",
}


def _subclass(tag: bytes, value: object, *builtin: type) -> bytes:
    # a named tuple is more than a tuple: its class counts
    kind = type(value)
    return tag if kind in builtin else tag + _tagged(b"", qualified_name(kind).encode())


def _fields_of(value: object) -> Mapping[str, object] | None:
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    elif attrs.has(type(value)):
        names = [field.name for field in attrs.fields(cast("Any", type(value)))]
    else:
        return None
    return {name: getattr(value, name) for name in names}


def _refused(value: object, path: str, what: str) -> TypeError:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return TypeError(f"value {shown} at {path} cannot be versioned: it is {what}; {_REMEDY}")
