"""
Names that are fetched from where they are held when somebody asks for them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazily(
    module: str,
    held_by: Mapping[str, str],
    plugins: Mapping[str, str] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """
    A module's ``__getattr__`` and ``__dir__``.

    Args:
        module: the module's name.
        held_by: each name, with the module that holds it.
        plugins: the distribution to install for each name that a plugin holds.
    """

    def get(name: str) -> Any:
        holder = held_by.get(name)
        if holder is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        found = _fetch(module, name, holder, (plugins or {}).get(name))
        setattr(sys.modules[module], name, found)
        return found

    return get, lambda: sorted({*vars(sys.modules[module]), *held_by})


def _fetch(module: str, name: str, holder: str, distribution: str | None) -> Any:
    try:
        return getattr(importlib.import_module(holder), name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if distribution is None or not (holder == missing or holder.startswith(f"{missing}.")):
            raise
        raise ImportError(
            f"{module}.{name} comes with the plugin {distribution!r}, which is not installed: "
            f"run `pip install {distribution}`",
            name=module,
        ) from error
