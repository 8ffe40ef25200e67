"""
How the op store's values look in JSON, read off their annotations.

A value of attrs is an object with its attributes, a version is its text, a time
is ISO 8601. So what is added to a value, or to a method of the contract, is
added to the wire by that alone.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

import attrs
import msgspec

from chariots_core.versioning import Version

#: A text of which nothing else is said. PostgreSQL keeps no NUL.
Name = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00]*\Z")]

#: A version, as `str` writes it.
VersionText = Annotated[
    str,
    msgspec.Meta(max_length=450, pattern=r"^[0-9a-f]{1,128}(\.[0-9a-f]{1,128}){2}_[0-9T:.+ -]+\Z"),
]

_Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Code = Annotated[str, msgspec.Meta(max_length=128, pattern=r"^[^\x00]*\Z")]
_JobId = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[^\x00]*\Z")]
_Identity = Annotated[str, msgspec.Meta(max_length=400, pattern=r"^[^\x00]*\Z")]
_LongText = Annotated[str, msgspec.Meta(max_length=32768, pattern=r"^[^\x00]*\Z")]

#: What the stores have room for, by the name of an attribute or argument.
_TEXTS: Final[Mapping[str, Any]] = types.MappingProxyType(
    {
        "digest": _Digest,
        "code": _Code,
        "job_id": _JobId,
        "continued_from": _Identity,
        "declared": _LongText,
        "fitted": _LongText,
        "op_class": _Identity,
        "upstream_version": _Identity,
        "downstream_version": _Identity,
    }
)

#: Every number of the contract counts something.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


#: Every other number is of seconds: up to a day.
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=24 * 3600)]


@attrs.frozen(kw_only=True)
class Form:
    """
    How values of one annotation go over the wire.

    Attributes:
        wire: the type that msgspec reads.
        to_wire: a value as plain data.
        from_wire: a value from what msgspec has read; a `ValueError` or
            `OverflowError` where it stands for none.
    """

    wire: Any
    to_wire: Callable[[Any], Any]
    from_wire: Callable[[Any], Any]


def _same(value: Any) -> Any:
    return value


@cache
def form_of(hint: Any, *, name: str = "", strict: bool = False) -> Form:
    """
    The form of what *hint* annotates.

    Args:
        hint: an annotation, evaluated.
        name: of the attribute or argument that has it.
        strict: whether bounds are checked, and unknown members refused: so a
            server reads. A client takes what its server has.

    Raises:
        TypeError: nobody has said how such values look in JSON.
    """
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _optional(hint, name, strict)
    if origin is not None and issubclass(origin, Mapping):
        _, value_hint = get_args(hint)
        return _mapping(form_of(str, strict=strict), form_of(value_hint, name=name, strict=strict))
    if origin is not None and issubclass(origin, Iterable):
        made = origin if origin in (tuple, frozenset, list) else list
        return _series(made, form_of(get_args(hint)[0], name=name, strict=strict))
    if hint is Version:
        return Form(wire=VersionText if strict else str, to_wire=str, from_wire=Version.parse)
    if attrs.has(hint):
        return _object(hint, strict)
    return _plain(hint, name, strict)


def _plain(hint: Any, name: str, strict: bool) -> Form:
    if hint is datetime:
        return Form(wire=datetime, to_wire=datetime.isoformat, from_wire=_same)
    wires = {
        str: _TEXTS.get(name, Name),
        int: _Count,
        float: _Seconds,
        bool: bool,
        type(None): None,
    }
    if hint not in wires:
        raise TypeError(f"{hint!r} has no form on the wire of the op store: give it one here")
    return Form(wire=wires[hint] if strict else hint, to_wire=_same, from_wire=_same)


def _optional(hint: Any, name: str, strict: bool) -> Form:
    (some,) = (kind for kind in get_args(hint) if kind is not type(None))
    form = form_of(some, name=name, strict=strict)
    return Form(
        wire=form.wire | None,
        to_wire=lambda value: None if value is None else form.to_wire(value),
        from_wire=lambda value: None if value is None else form.from_wire(value),
    )


def _mapping(keys: Form, values: Form) -> Form:
    return Form(
        wire=dict[keys.wire, values.wire],  # type: ignore[name-defined]
        to_wire=lambda found: {key: values.to_wire(value) for key, value in found.items()},
        from_wire=lambda found: {key: values.from_wire(value) for key, value in found.items()},
    )


def _series(made: Callable[[Iterable[Any]], Any], item: Form) -> Form:
    return Form(
        wire=list[item.wire],  # type: ignore[name-defined]
        to_wire=lambda found: [item.to_wire(value) for value in found],
        from_wire=lambda found: made(item.from_wire(value) for value in found),
    )


def _object(kind: type[attrs.AttrsInstance], strict: bool) -> Form:
    hints = get_type_hints(kind)
    fields = {field.name: field.default for field in attrs.fields(kind) if field.init}
    members = Members({name: hints[name] for name in fields}, fields, kind.__name__, strict)
    return Form(
        wire=members.struct,
        to_wire=lambda value: members.to_wire({name: getattr(value, name) for name in fields}),
        from_wire=lambda found: kind(**members.from_wire(found)),
    )


class Members:
    """
    The form of some named values: the attributes of an object, the arguments of a call.

    Args:
        hints: the annotation of each.
        defaults: what each is unless it is given; `attrs.NOTHING`: it must be.
        title: a name for all of it.
        strict: as `form_of` has it.
    """

    def __init__(
        self,
        hints: Mapping[str, Any],
        defaults: Mapping[str, Any],
        title: str,
        strict: bool,
    ) -> None:
        self._defaults = dict(defaults)
        self._forms = {
            name: form_of(hint, name=name, strict=strict) for name, hint in hints.items()
        }
        fields: Sequence[Any] = [
            (name, form.wire)
            if self._defaults[name] is attrs.NOTHING
            # told from a null that was sent: what is not given keeps its default
            else (name, form.wire | msgspec.UnsetType, msgspec.UNSET)
            for name, form in self._forms.items()
        ]
        #: What msgspec reads.
        self.struct: Any = msgspec.defstruct(
            title, fields, kw_only=True, forbid_unknown_fields=strict
        )

    def to_wire(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """
        The values as a JSON object.
        """
        return {name: self._forms[name].to_wire(value) for name, value in values.items()}

    def without_defaults(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """
        Those of the values that are not what they would be unless they were given.
        """
        return {
            name: value
            for name, value in values.items()
            if self._defaults[name] is attrs.NOTHING or value != self._defaults[name]
        }

    def from_wire(self, found: Any) -> dict[str, Any]:
        """
        The values that msgspec has read, without those that were not given.
        """
        given = {name: getattr(found, name) for name in self._forms}
        return {
            name: self._forms[name].from_wire(value)
            for name, value in given.items()
            if value is not msgspec.UNSET
        }
