"""
The kit's app, as command lines name it: ``served:app`` for workers, ``served:server`` for the web.
"""

from __future__ import annotations

from typing import Any

from chariots_core.testing.conformance.apps import build_app, build_server
from chariots_core.testing.conformance.config import KitConfig


def __getattr__(name: str) -> Any:
    # One of the two is wanted, so one is made.
    builders = {"app": build_app, "server": build_server}
    if name not in builders:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made: Any = builders[name](KitConfig.from_environment())
    globals()[name] = made
    return made
