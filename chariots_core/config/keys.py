"""
Keys of a configuration: what each may be, and all that is wrong with them at once.

No value gets into a message: it may be a secret. The exception are names of
runners and savers, which a check may repeat.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeAlias

import attrs
import msgspec

from chariots_core.errors import ConfigInvalid

#: Says what is wrong with a value of the right type, as the end of a sentence
#: that begins with the key; ``None``: nothing.
Check: TypeAlias = Callable[[Any], str | None]

#: The longest part of a text that a message repeats.
_SHOWN: Final = 60


#: The shape of a key with keys of its own; an empty one is as good as none.
TABLE: Final[Any] = Mapping[str, Any] | None


def key(
    shape: Any,
    *,
    default: Any = None,
    expects: str,
    instance: type | None = None,
    check: Check | None = None,
    secret: bool = False,
) -> Any:
    """
    A field of a `Section`.

    Args:
        shape: its type, as far as a file can say it.
        default: what holds where nobody says anything.
        expects: what it must be, for messages.
        instance: a class whose instances may be given in code.
        check: what else must hold for a value of *shape*.
        secret: whether it is left out of the section's ``repr``.
    """
    return attrs.field(
        default=default,
        converter=_own_table if shape is TABLE else None,
        repr=not secret,
        metadata={"shape": shape, "expects": expects, "instance": instance, "check": check},
    )


@attrs.frozen(kw_only=True)
class Section:
    """
    A part of a configuration. All that is wrong with it is told in one error.

    Raises:
        ConfigInvalid: a key has a value that cannot work.
    """

    #: What it is called in a file.
    section: ClassVar[str]

    def __attrs_post_init__(self) -> None:
        problems = problems_of(type(self), _values(self))
        if problems:
            raise invalid("the configuration", problems)

    @classmethod
    def clashes(
        cls,
        values: Mapping[str, Any],  # noqa: ARG003 - for those who have something to say
    ) -> Iterator[tuple[set[str], str]]:
        """
        What is wrong with keys beside each other: which they are, and a sentence.

        Args:
            values: the value of every key.
        """
        yield from ()


def invalid(what: str, problems: Sequence[str]) -> ConfigInvalid:
    """
    The error that tells all *problems* of a configuration.
    """
    return ConfigInvalid(f"{what} cannot be used: {'; '.join(problems)}", problems=problems)


def problems_of(cls: type[Section], given: Mapping[Any, Any]) -> list[str]:
    """
    What is wrong with the keys and values of a section, each with the key's path.

    Args:
        cls: the section.
        given: its keys, as a file or code gives them; others have their defaults.
    """
    fields = attrs.fields_dict(cls)
    unknown = {name: unknown_key(name, fields, cls.section) for name in given if name not in fields}
    wrong = {
        name: problem
        for name, field in fields.items()
        if name in given and (problem := _problem(field, given[name])) is not None
    }
    # What a misspelt key was to say is not known: nothing beside it is judged.
    unsure = {*wrong, *(near for name in unknown if (near := _near(name, fields)) is not None)}
    values = {name: given.get(name, field.default) for name, field in fields.items()}
    clashes = [text for names, text in _clashes(cls, values, unsure) if not names & unsure]
    told = [f"{cls.section}.{name} {problem}" for name, problem in wrong.items()]
    return [*told, *unknown.values(), *(f"{cls.section}.{text}" for text in clashes)]


def unknown_key(name: object, known: Collection[str], section: str = "") -> str:
    """
    What to say of a key that is not among the *known* ones.
    """
    near = _near(name, known)
    remedy = f"did you mean {near!r}?" if near else f"known are {', '.join(sorted(known))}"
    path = f"{section}." if section else ""
    return f"{path}{str(name)[:_SHOWN]} is unknown, {remedy}"


def _problem(field: attrs.Attribute[Any], value: object) -> str | None:
    facts = field.metadata
    if value is field.default:
        return None
    if facts["instance"] is not None and isinstance(value, facts["instance"]):
        return None
    # msgspec stops at the first thing it does not like, so it is given one key at a time.
    try:
        msgspec.convert(value, facts["shape"])
    except msgspec.ValidationError:
        return f"must be {facts['expects']}, and {_misfit(facts['shape'], value)}"
    check: Check | None = facts["check"]
    return None if check is None or value is None else check(value)


def _misfit(shape: Any, value: object) -> str:
    """
    How a value differs from a shape, without the value.
    """
    if isinstance(value, Mapping):
        return "has a key that is not text" if shape is TABLE else "is a table"
    return "is empty" if value is None else f"is of type {type(value).__name__}"


def _clashes(
    cls: type[Section], values: Mapping[str, Any], unsure: Collection[str]
) -> list[tuple[set[str], str]]:
    # A check of several keys may rely on each being right by itself.
    fields = attrs.fields_dict(cls)
    sure = {
        name: fields[name].default if name in unsure else value for name, value in values.items()
    }
    return list(cls.clashes(sure))


def _near(name: object, known: Collection[str]) -> str | None:
    found = difflib.get_close_matches(str(name), sorted(known), n=1)
    return found[0] if found else None


def _own_table(value: Any) -> Any:
    # What the caller does to its mapping later does not change the section.
    return dict(value or {}) if value is None or isinstance(value, Mapping) else value


def _values(section: Section) -> dict[str, Any]:
    return {field.name: getattr(section, field.name) for field in attrs.fields(type(section))}
