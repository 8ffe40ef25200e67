"""
Values that count in the version of the class that holds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Generic, NoReturn, TypeVar, cast

from chariots_core.versioning.canonical import encode_value

T = TypeVar("T")


class VersionType(Enum):
    """
    Which of a version's three digests a change goes into.
    """

    MAJOR = "major"
    """Breaks compatibility: state saved before cannot be used."""

    MINOR = "minor"
    """Changes results."""

    PATCH = "patch"
    """Should not matter to others."""


class VersionedField(Generic[T]):
    """
    A value that counts in the version of its class; read as the plain value.

    It is read-only: a subclass may declare it anew, an instance cannot change it.

    >>> class Scale:
    ...     factor = VersionedField(2, VersionType.MINOR)
    >>> Scale().factor, Scale.factor
    (2, 2)

    Args:
        value: plain data, a class, a function, or a structure of these.
        version_type: the digest that the value goes into.

    Raises:
        TypeError: the value has no canonical form; the message says what has.
    """

    def __init__(self, value: T, version_type: VersionType) -> None:
        # refused here, and not later: the traceback then shows the line at fault
        encode_value(value, _encode_inner)
        self.name = ""
        self._version_type = VersionType(version_type)
        self._value = value
        self._plain = cast("T", plain_value(value))

    @property
    def value(self) -> T:
        """
        The plain value.
        """
        return self._plain

    @property
    def declared_value(self) -> T:
        """
        The value as it was given, with the versioned fields inside it.
        """
        return self._value

    @property
    def version_type(self) -> VersionType:
        """
        The digest that the value goes into.
        """
        return self._version_type

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: object, owner: type | None = None) -> T:
        return self._plain

    def __set__(self, instance: object, value: object) -> NoReturn:
        raise AttributeError(
            f"versioned field {self.name!r} of {type(instance).__name__!r} is read-only: "
            "declare it anew in a subclass"
        )

    def __delete__(self, instance: object) -> NoReturn:
        raise AttributeError(
            f"versioned field {self.name!r} of {type(instance).__name__!r} cannot be deleted"
        )

    def __repr__(self) -> str:
        return f"VersionedField({self._value!r}, {self._version_type})"


class VersionedFieldDict(MutableMapping[str, Any]):
    """
    A dict of plain values, each of which counts in the version.

    >>> parameters = VersionedFieldDict(
    ...     VersionType.MAJOR, {"depth": 3, "seed": VersionedField(7, VersionType.PATCH)}
    ... )
    >>> dict(parameters)
    {'depth': 3, 'seed': 7}
    >>> parameters.version_dict["seed"].version_type
    <VersionType.PATCH: 'patch'>

    Args:
        default_version: the digest for values that are no `VersionedField`.
        values: the first entries.
    """

    def __init__(
        self, default_version: VersionType, values: Mapping[str, Any] | None = None
    ) -> None:
        self._default_version = VersionType(default_version)
        self._fields: dict[str, VersionedField[Any]] = {}
        for key, value in (values or {}).items():
            self[key] = value

    @property
    def version_dict(self) -> Mapping[str, VersionedField[Any]]:
        """
        Each key's versioned field.
        """
        return MappingProxyType(self._fields)

    def __getitem__(self, key: str) -> Any:
        return self._fields[key].value

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"key {key!r} of a versioned dict is not text: use text keys")
        if not isinstance(value, VersionedField):
            value = VersionedField(value, self._default_version)
        self._fields[key] = value

    def __delitem__(self, key: str) -> None:
        del self._fields[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"VersionedFieldDict({self._default_version}, {dict(self)!r})"


def plain_value(value: object) -> object:
    """
    *value* without the versioned fields inside it; itself where there are none.
    """
    if isinstance(value, VersionedField):
        return value.value
    if isinstance(value, VersionedFieldDict):
        return dict(value)
    kind = type(value)
    if kind is dict:
        items = {key: plain_value(entry) for key, entry in cast("dict[Any, Any]", value).items()}
        return items if _differs(items.values(), cast("dict[Any, Any]", value).values()) else value
    if kind is list or kind is tuple:
        entries = [plain_value(entry) for entry in cast("list[Any]", value)]
        return kind(entries) if _differs(entries, cast("list[Any]", value)) else value
    return value


def _differs(left: Iterable[object], right: Iterable[object]) -> bool:
    return any(a is not b for a, b in zip(left, right, strict=True))


def _encode_inner(value: object, _path: str) -> bytes | None:
    # a versioned value was checked when it was made
    return b"" if isinstance(value, VersionedField | VersionedFieldDict) else None
