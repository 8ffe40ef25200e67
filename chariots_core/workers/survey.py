"""
What plugins are installed and whether each could be used, for people to read.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

import attrs

from chariots_core.errors import BackendIncompatible, ConfigurationError
from chariots_core.workers.capabilities import Capabilities
from chariots_core.workers.discovery import (
    BACKENDS_GROUP,
    PLUGINS_GROUP,
    PluginEntry,
    ambiguities,
    find_entries,
)
from chariots_core.workers.loading import load_backend, load_extension


@attrs.frozen(kw_only=True)
class PluginReport:
    """
    One installed plugin.

    Attributes:
        kind: whether it is a backend, or else a plugin of the other group.
        name: its name.
        distribution: the distribution it came with.
        version: that distribution's version.
        contract_version: the contract it was written for, if it can be asked.
        summary: what it says of itself.
        capabilities: what it can do, if it is a backend.
        error: why it cannot be used; ``None``: it can.
    """

    kind: Literal["backend", "plugin"]
    name: str
    distribution: str
    version: str
    contract_version: int | None = None
    summary: str = ""
    capabilities: Capabilities | None = None
    error: str | None = None


def survey() -> tuple[PluginReport, ...]:
    """
    Import and check every installed plugin, each by itself: none can spoil the list.
    """
    backends = find_entries(BACKENDS_GROUP)
    names = Counter(entry.name for entry in backends)
    reports = [_backend(entry, twins=names[entry.name]) for entry in backends]
    plugins = find_entries(PLUGINS_GROUP)
    ambiguous = ambiguities(plugins)
    return (*reports, *(_extension(entry, ambiguous.get(entry.name)) for entry in plugins))


def _backend(entry: PluginEntry, *, twins: int) -> PluginReport:
    report = _report("backend", entry)
    if twins > 1:
        return attrs.evolve(
            report, error=f"{twins} distributions offer this name: uninstall all but one of them"
        )
    try:
        _, info = load_backend(entry)
    except BackendIncompatible as error:
        return attrs.evolve(
            report, contract_version=error.contract_version, error=_reason(entry, error)
        )
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
        return attrs.evolve(report, error=_reason(entry, error))
    return attrs.evolve(
        report,
        contract_version=info.contract_version,
        summary=info.summary,
        capabilities=info.capabilities,
    )


def _extension(entry: PluginEntry, ambiguity: str | None) -> PluginReport:
    report = _report("plugin", entry)
    if ambiguity is not None:
        return attrs.evolve(report, error=ambiguity)
    try:
        load_extension(entry)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
        return attrs.evolve(report, error=_reason(entry, error))
    return report


def _reason(entry: PluginEntry, error: BaseException) -> str:
    if isinstance(error, ConfigurationError):
        return error.message
    return f"{entry} cannot be looked over: {type(error).__name__}: {error}"


def _report(kind: Literal["backend", "plugin"], entry: PluginEntry) -> PluginReport:
    return PluginReport(
        kind=kind, name=entry.name, distribution=entry.distribution, version=entry.version
    )
