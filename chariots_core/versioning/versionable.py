"""
The version of a class, or of an object of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from chariots_core.versioning.canonical import encode_value, qualified_name
from chariots_core.versioning.fields import VersionedField, VersionedFieldDict, VersionType
from chariots_core.versioning.version import Version

_Entries = dict[VersionType, list[bytes]]

# only so that a version keeps its creation time: digests are computed each time
_seen: WeakKeyDictionary[type, dict[str, Version]] = WeakKeyDictionary()


def version_of(versioned: object) -> Version:
    """
    The version of a class or object: digests of its versioned fields.

    Fields of all base classes count, the nearest declaration of a name wins.
    For an object, versioned fields among its own attributes count as well. The
    digests are the same in every process; the creation time is when this
    process saw the version first.

    >>> class Scale:
    ...     factor = VersionedField(2, VersionType.MINOR)
    >>> class Double(Scale):
    ...     pass
    >>> version_of(Double) == version_of(Scale)
    True
    """
    cls = versioned if isinstance(versioned, type) else type(versioned)
    digests = _digests(versioned)
    version = Version(
        major=digests[VersionType.MAJOR],
        minor=digests[VersionType.MINOR],
        patch=digests[VersionType.PATCH],
    )
    return _seen.setdefault(cls, {}).setdefault(version.identity, version)


class _VersionAttribute:
    def __get__(self, instance: object, owner: type) -> Version:
        return version_of(owner if instance is None else instance)


class VersionableMeta(type):
    """
    Gives a class, and its objects, a ``__version__``: that of its versioned fields.

    >>> class Scale(metaclass=VersionableMeta):
    ...     factor = VersionedField(2, VersionType.MINOR)
    >>> Scale.__version__ == version_of(Scale)
    True
    """

    __version__: Version

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        super().__init__(name, bases, namespace)
        cls.__version__ = _VersionAttribute()  # type: ignore[assignment]


def _digests(versioned: object) -> dict[VersionType, str]:
    entries: _Entries = {version_type: [] for version_type in VersionType}
    for name, declared in _declared(versioned).items():
        for path, field in _fields(name, declared):
            _add(entries, path, field)
    return {version_type: _digest(sorted(encoded)) for version_type, encoded in entries.items()}


def _digest(encoded: list[bytes]) -> str:
    # of no fields: the empty digest, as that of Version()
    return hashlib.sha1(b"".join(encoded), usedforsecurity=False).hexdigest()


def _declared(versioned: object) -> dict[str, VersionedField[Any] | VersionedFieldDict]:
    cls = versioned if isinstance(versioned, type) else type(versioned)
    namespaces: list[Mapping[str, Any]] = [vars(base) for base in reversed(cls.__mro__)]
    if versioned is not cls:
        namespaces.append(getattr(versioned, "__dict__", {}))
    declared: dict[str, VersionedField[Any] | VersionedFieldDict] = {}
    for namespace in namespaces:
        for name, value in namespace.items():
            if isinstance(value, VersionedField | VersionedFieldDict):
                declared[name] = value
            elif name in declared:
                # a plain attribute of a nearer class takes the field out
                del declared[name]
    return declared


def _fields(name: str, declared: object) -> Iterator[tuple[str, VersionedField[Any]]]:
    if isinstance(declared, VersionedField):
        yield name, declared
    elif isinstance(declared, VersionedFieldDict):
        for key, field in declared.version_dict.items():
            yield f"{name}[{key!r}]", field


def _add(entries: _Entries, path: str, field: VersionedField[Any]) -> None:
    def special(value: object, where: str) -> bytes | None:
        # a field inside a value counts under its own type, and leaves its mark here
        fields = list(_fields(where, value))
        if fields or isinstance(value, VersionedFieldDict):
            for inner_path, inner in fields:
                _add(entries, inner_path, inner)
            return b"V0:"
        if isinstance(value, type):
            version = version_of(value)
            return None if version == Version() else _class_entry(value, version)
        return None

    body = encode_value(field.declared_value, special, path)
    entries[field.version_type].append(encode_value((path, body)))


def _class_entry(cls: type, version: Version) -> bytes:
    return encode_value(("class", qualified_name(cls), version.identity))
