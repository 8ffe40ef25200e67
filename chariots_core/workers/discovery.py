"""
Which plugins are installed: read from metadata, without importing any of them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Final

import attrs

from chariots_core.errors import BackendAmbiguous, BackendNotInstalled

#: Worker backends. The name of the entry point is the name of the backend.
BACKENDS_GROUP: Final = "chariots.worker_backends"

#: What a backend may be called.
BACKEND_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

#: Everything else: observers, wrappers, pages, libraries.
PLUGINS_GROUP: Final = "chariots.plugins"

#: Where the backends of this project come from, for the message to whoever misses one.
_KNOWN_DISTRIBUTIONS: Final = {
    "dramatiq": "chariots-dramatiq",
    "local": "chariots-core",
    "rq": "chariots-rq",
}


@attrs.frozen(kw_only=True)
class PluginEntry:
    """
    An installed plugin, as its distribution announces it.

    Attributes:
        name: the name of its entry point.
        group: the entry point's group.
        target: what is imported to load it, as ``package.module``.
        distribution: the name of the distribution it came with.
        version: that distribution's version.
    """

    name: str
    group: str
    target: str
    distribution: str
    version: str
    _entry_point: EntryPoint = attrs.field(repr=False, eq=False)

    @classmethod
    def of(cls, entry_point: EntryPoint) -> PluginEntry:
        """
        Read an entry point and the distribution it belongs to.
        """
        dist = entry_point.dist
        return cls(
            name=entry_point.name,
            group=entry_point.group,
            target=entry_point.value,
            distribution=dist.name if dist else "?",
            version=dist.version if dist else "?",
            entry_point=entry_point,
        )

    def __str__(self) -> str:
        return (
            f"plugin {self.name!r} ({self.target}) of distribution "
            f"{self.distribution!r} {self.version}"
        )

    def load(self) -> object:
        """
        Import the plugin; whatever the import raises comes through.
        """
        loaded: object = self._entry_point.load()
        return loaded


def find_entries(group: str) -> tuple[PluginEntry, ...]:
    """
    The installed plugins of *group*, by name; nothing is imported.
    """
    entries = (PluginEntry.of(entry_point) for entry_point in entry_points(group=group))
    return tuple(sorted(entries, key=lambda entry: (entry.name, entry.distribution)))


def ambiguities(entries: Sequence[PluginEntry]) -> Mapping[str, str]:
    """
    What is wrong with each name that more than one of *entries*, all of one group, has.
    """
    named: dict[str, list[PluginEntry]] = {}
    for entry in entries:
        named.setdefault(entry.name, []).append(entry)
    return {name: _ambiguous("plugin", twins) for name, twins in named.items() if len(twins) > 1}


def _ambiguous(kind: str, twins: Sequence[PluginEntry]) -> str:
    owners = " and ".join(f"{entry.distribution!r} {entry.version}" for entry in twins)
    return (
        f"more than one distribution offers a {kind} {twins[0].name!r}: {owners}; "
        f"uninstall all but one of them"
    )


def find_backend(name: str) -> PluginEntry:
    """
    The one installed backend of that name; nothing is imported.

    Raises:
        BackendNotInstalled: there is none; the message lists those there are.
        BackendAmbiguous: there is more than one; the message names their
            distributions.
    """
    entries = find_entries(BACKENDS_GROUP)
    matches = [entry for entry in entries if entry.name == name]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise BackendAmbiguous(_ambiguous("worker backend", matches), backend=name)
    raise BackendNotInstalled(_missing(name, sorted({e.name for e in entries})), backend=name)


def _missing(name: str, installed: Sequence[str]) -> str:
    shown = ", ".join(map(repr, installed)) or "none"
    close = difflib.get_close_matches(name, installed, n=1)
    if close:
        remedy = f"did you mean {close[0]!r}?"
    elif name in _KNOWN_DISTRIBUTIONS:
        remedy = f"it comes with `pip install {_KNOWN_DISTRIBUTIONS[name]}`"
    else:
        remedy = "install the distribution that offers it, in the environment of this process"
    return f"no worker backend {name!r} is installed (installed: {shown}): {remedy}"
