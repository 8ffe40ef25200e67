"""
What is wrong with a plugin, found before any hook of it is called in earnest.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping
from types import FunctionType, MappingProxyType, MethodType
from typing import Any, Final

import attrs

from chariots_core.workers import hookspecs

_PREFIX: Final = f"{hookspecs.PROJECT}_"
_MARK: Final = f"{hookspecs.PROJECT}_impl"

#: The arguments of each hook, by its name.
HOOKS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        name: tuple(inspect.signature(value).parameters)
        for name, value in vars(hookspecs).items()
        if name.startswith(_PREFIX) and isinstance(value, FunctionType)
    }
)

#: What a backend has to implement.
REQUIRED: Final = ("chariots_backend_info", "chariots_create_worker_pool")

#: Hooks of which each plugin's implementation is called by itself, not through pluggy.
ALONE: Final = frozenset(
    {"chariots_backend_info", "chariots_blueprint", "chariots_command", "chariots_job_event"}
)


@attrs.frozen
class Implementation:
    """
    A function of a plugin that implements a hook, or looks as if it should.

    Attributes:
        attribute: its name in the plugin.
        function: the function itself.
        options: what its marker says; ``None``: it has no marker.
    """

    attribute: str
    function: Any
    options: Mapping[str, Any] | None

    @property
    def hook(self) -> str:
        """
        The name of the hook that it means.
        """
        return (self.options or {}).get("specname") or self.attribute

    @property
    def is_wrapper(self) -> bool:
        options = self.options or {}
        return bool(options.get("wrapper") or options.get("hookwrapper"))


def implementations(plugin: object) -> Iterator[Implementation]:
    """
    The functions of *plugin* that are marked, or whose name begins like a hook's.
    """
    for name in dir(plugin):
        # Properties and the like are not run only to be looked at.
        static = inspect.getattr_static(plugin, name, None)
        if not isinstance(static, FunctionType | MethodType | staticmethod | classmethod):
            continue
        function = getattr(plugin, name)
        options = getattr(function, _MARK, None)
        if options is not None or name.startswith(_PREFIX):
            yield Implementation(name, function, options)


def faults(plugin: object) -> Iterator[str]:
    """
    One sentence for each thing that is wrong with the hooks of *plugin*.
    """
    for implementation in implementations(plugin):
        if fault := _fault(implementation):
            yield fault


def missing_hooks(plugin: object) -> list[str]:
    """
    The hooks that a backend has to implement, and that *plugin* does not.
    """
    found = {i.hook for i in implementations(plugin) if i.options is not None}
    return [name for name in REQUIRED if name not in found]


def _fault(found: Implementation) -> str | None:
    if found.hook not in HOOKS:
        if (found.options or {}).get("optionalhook"):
            return None
        return f"{found.hook!r} is no hook, {_suggestion(found.hook)}"
    if found.options is None:
        return f"function {found.attribute!r} is not marked: write @hookimpl above it"
    if found.is_wrapper and found.hook in ALONE:
        return (
            f"hook {found.hook!r} is called for each plugin by itself and cannot be wrapped: "
            "drop the option"
        )
    if found.is_wrapper and not inspect.isgeneratorfunction(found.function):
        return f"hook {found.hook!r} is marked as a wrapper, so it must yield once"
    if found.options.get("wrapper") and found.options.get("hookwrapper"):
        return f"hook {found.hook!r} is marked as a wrapper of both kinds: keep wrapper=True"
    known = HOOKS[found.hook]
    # An argument with a default is the plugin's own: pluggy never passes it.
    wanted = inspect.signature(found.function).parameters.values()
    strange = [p.name for p in wanted if p.default is p.empty and p.name not in known]
    if strange:
        return (
            f"hook {found.hook!r} has no argument {' or '.join(map(repr, strange))}: "
            f"its arguments are ({', '.join(known)})"
        )
    return None


def _suggestion(name: str) -> str:
    if close := difflib.get_close_matches(name, HOOKS, n=1):
        return f"did you mean {close[0]!r}?"
    return f"the hooks are {', '.join(HOOKS)}"
