"""
What is known of a backend from the outside: where it comes from, and what it declares.
"""

from __future__ import annotations

import platform
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any, Final

import chariots_core
from chariots_core.errors import BackendError
from chariots_core.testing.conformance.behaviours import SHOWN_BY
from chariots_core.workers.capabilities import Capabilities
from chariots_core.workers.discovery import find_backend
from chariots_core.workers.plugins import PluginManager

#: The distribution of the kit itself, which is the engine of no backend.
CORE: Final = "chariots-core"

_REQUIREMENT: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[(?P<extras>[^\]]*)\])?")


def facts_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """
    What is known of the backend that *settings* name, as JSON values, without a secret.

    Nothing is connected. A backend that cannot be asked is described by the error.
    """
    name = str(settings.get("backend", "?"))
    facts: dict[str, Any] = {"name": name, "core": chariots_core.__version__}
    facts["python"] = platform.python_version()
    try:
        entry = find_backend(name)
        pool = PluginManager().create_worker_pool(settings)
    except BackendError as error:
        return facts | {"error": f"{type(error).__name__}: {error.message}"}
    assert pool is not None
    return (
        facts
        | {"distribution": entry.distribution, "version": entry.version}
        | {"engines": _engines(entry.distribution)}
        | _declared(pool.capabilities)
    )


def _declared(capabilities: Capabilities) -> dict[str, Any]:
    names = capabilities.names()
    return {
        "capabilities": list(names),
        "isolation": sorted(capabilities.isolation),
        "unproved": [name for name in names if name not in SHOWN_BY],
    }


def _engines(distribution: str) -> dict[str, str]:
    """
    The versions of what a backend's distribution asks for, extras included if installed.
    """
    if distribution == CORE:
        # It is its own engine: jobs are in a file of SQLite or in PostgreSQL.
        names = {"sqlalchemy", "psycopg"}
        return {"sqlite": sqlite3.sqlite_version, **_installed(names)}
    names = set()
    for text in requires(distribution) or ():
        found = _REQUIREMENT.match(text)
        if found is None or found["name"] == "attrs":
            continue
        if found["name"] == CORE:
            names |= _names_of_extras((found["extras"] or "").split(","))
        else:
            names.add(found["name"])
    return _installed(names)


def _names_of_extras(extras: Sequence[str]) -> set[str]:
    """
    What the core asks for where it is installed with *extras*.
    """
    asked = [text.partition(";") for text in requires(CORE) or ()]
    found = [
        _REQUIREMENT.match(name)
        for name, _, condition in asked
        if any(re.search(rf"extra == ['\"]{extra}['\"]", condition) for extra in extras if extra)
    ]
    return {match["name"] for match in found if match is not None}


def _installed(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in sorted(names):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
