"""
Names of runners and savers: which there are, and how they may be spelt.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeVar

from chariots_core.app.stores import DEFAULT_FOLDER
from chariots_core.op_store.savers import BaseSaver, FileSaver, FsspecSaver
from chariots_core.pipelines import BaseRunner, SequentialRunner

T = TypeVar("T")

#: The longest part of a name that a message repeats.
_SHOWN: Final = 60


def spelt_name(cls: type) -> str:
    """
    The name of a class in lower case with hyphens.

    >>> spelt_name(SequentialRunner)
    'sequential-runner'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()


def _by_name(*classes: type[T]) -> Mapping[str, type[T]]:
    return MappingProxyType({spelt_name(cls): cls for cls in classes})


RUNNERS: Final[Mapping[str, type[BaseRunner]]] = _by_name(SequentialRunner)
SAVERS: Final[Mapping[str, type[BaseSaver]]] = _by_name(FileSaver, FsspecSaver)


def class_named(known: Mapping[str, type[T]], name: str) -> type[T] | None:
    """
    The class that *name* means, as ``file-saver``, ``file_saver`` or ``FileSaver``.
    """
    for spelt, cls in known.items():
        if name in {spelt, spelt.replace("-", "_"), cls.__name__}:
            return cls
    return None


def check_runner(name: str) -> str | None:
    """
    What is wrong with the name of a runner.
    """
    return _unknown("runner", RUNNERS, name)


def check_saver(name: str) -> str | None:
    """
    What is wrong with the name of a saver.
    """
    return _unknown("saver", SAVERS, name)


def make_saver(name: str, kwargs: Mapping[str, Any]) -> BaseSaver:
    """
    The saver of a known name.

    Args:
        name: the name, in any of its spellings.
        kwargs: what `saver_problems` has nothing to say of.
    """
    cls = SAVERS[_known_name(name)]
    return cls(**_with_folder(cls, kwargs))


def saver_problems(name: str, kwargs: Mapping[str, Any]) -> list[str]:
    """
    What is wrong with the arguments of the saver of a known name: for each a
    path from the table of them, and the end of a sentence. No value is in it.
    """
    spelt = _known_name(name)
    cls = SAVERS[spelt]
    given = _with_folder(cls, kwargs)
    takes = inspect.signature(cls).parameters
    named = [each for each, facts in takes.items() if facts.kind is not facts.VAR_KEYWORD]
    takes_more = len(named) < len(takes)
    problems = [f".{each} is missing: {spelt} needs it" for each in named if each not in given]
    problems += [
        f".{each[:_SHOWN]} is unknown to {spelt}, {_remedy(each, named)}"
        for each in given
        if each not in named and not takes_more
    ]
    if not problems:
        try:
            cls(**given)
        except (TypeError, ValueError):
            # What Python says of them may show a value.
            problems = [f" must be what {spelt} takes: {', '.join(named)}"]
    return problems


def _known_name(name: str) -> str:
    cls = class_named(SAVERS, name)
    assert cls is not None, "its name was checked"
    return spelt_name(cls)


def _with_folder(cls: type, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {"root_path": DEFAULT_FOLDER, **kwargs} if cls is FileSaver else dict(kwargs)


def _remedy(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"


def _unknown(kind: str, known: Mapping[str, type], name: str) -> str | None:
    if class_named(known, name) is not None:
        return None
    near = difflib.get_close_matches(name.lower().replace("_", "-"), known, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"names no {kind}, {name[:_SHOWN]!r}: {meant}known are {', '.join(sorted(known))}"
