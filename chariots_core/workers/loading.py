"""
Importing one plugin and looking it over, before any hook of it is called in earnest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from chariots_core.errors import (
    BackendBroken,
    BackendError,
    BackendIncompatible,
    ChariotsError,
    ConfigurationError,
)
from chariots_core.workers import checks, hookspecs
from chariots_core.workers.capabilities import BackendInfo
from chariots_core.workers.discovery import PluginEntry

T = TypeVar("T")


def load_backend(entry: PluginEntry) -> tuple[object, BackendInfo]:
    """
    Import a backend and check it, alone: nothing of it is used yet.

    Raises:
        BackendBroken: it cannot be imported, or its hooks are wrong.
        BackendIncompatible: it was written for another contract.
    """
    plugin = _import(entry, BackendBroken)
    # The version first: hooks of another contract would only look misspelt.
    info = _info(plugin, entry)
    problems = list(checks.faults(plugin))
    problems += [f"hook {name!r} is missing" for name in checks.missing_hooks(plugin)]
    if problems or info is None:
        raise BackendBroken(f"{entry} cannot be used: {'; '.join(problems)}", backend=entry.name)
    return plugin, info


def load_extension(entry: PluginEntry) -> object:
    """
    Import a plugin that is no backend and check it, alone.

    Raises:
        ConfigurationError: it cannot be imported, or its hooks are wrong.
    """
    plugin = _import(entry, ConfigurationError)
    check_extension(plugin, str(entry))
    return plugin


def check_extension(plugin: object, label: str) -> None:
    """
    Return if the hooks of a plugin are right.

    Args:
        plugin: any object with hooks.
        label: how messages call it.

    Raises:
        ConfigurationError: they are not.
    """
    if problems := list(checks.faults(plugin)):
        raise ConfigurationError(f"{label} cannot be used: {'; '.join(problems)}")


def _import(entry: PluginEntry, error_class: type[ConfigurationError]) -> object:
    try:
        return entry.load()
    except (Exception, SystemExit) as error:
        message = (
            f"{entry} cannot be imported: {type(error).__name__}: {error}; "
            f"repair or uninstall that distribution"
        )
        if issubclass(error_class, BackendError):
            raise error_class(message, backend=entry.name) from error
        raise error_class(message) from error


def _info(plugin: object, entry: PluginEntry) -> BackendInfo | None:
    found = [i for i in checks.implementations(plugin) if i.hook == checks.REQUIRED[0]]
    if not found or found[0].options is None:
        return None
    info = _described(found[0].function, entry)
    if not isinstance(info, BackendInfo):
        raise BackendBroken(
            f"{entry} described itself by {kind_of(info)} where a BackendInfo is due",
            backend=entry.name,
        )
    if info.contract_version != hookspecs.CONTRACT_VERSION:
        newer = info.contract_version > hookspecs.CONTRACT_VERSION
        raise BackendIncompatible(
            f"{entry} was written for contract version {info.contract_version}, and this "
            f"chariots-core has version {hookspecs.CONTRACT_VERSION}: upgrade "
            f"{'chariots-core' if newer else entry.distribution!r}",
            backend=entry.name,
            contract_version=info.contract_version,
        )
    return info


def _described(describe: Callable[[], object], entry: PluginEntry) -> object:
    try:
        return describe()
    except ChariotsError:
        raise
    except (Exception, SystemExit) as error:
        # It was told no option, so there is no secret in what it says.
        raise BackendBroken(
            f"{entry} failed to describe itself: {type(error).__name__}: {error}; "
            f"repair or uninstall that distribution",
            backend=entry.name,
        ) from error


def guarded(call: Callable[[], T], what: str, *, backend: str) -> T:
    """
    What *call*, code of a plugin, gives; whatever it raises, but for errors of
    Chariots, becomes a `BackendBroken` that says *what* failed.
    """
    try:
        return call()
    except ChariotsError:
        raise
    except (Exception, SystemExit) as error:
        raise BackendBroken(
            f"{what}: {type(error).__name__}; the cause is chained", backend=backend
        ) from error


def kind_of(value: object) -> str:
    """
    What *value* is, for a message; not the value, which may be a secret.
    """
    return "None" if value is None else f"an object of type {type(value).__name__!r}"
