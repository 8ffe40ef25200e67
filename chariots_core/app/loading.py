"""
Apps named by text: ``package.module:attribute``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from chariots_core.app.application import App
from chariots_core.errors import AppLoadError
from chariots_core.workers.app_specs import full_spec, import_spec


def load_app(spec: str) -> App:
    """
    Import the app that *spec* names: an `App`, or a server made with one.

    The folder one stands in is looked in first, as ``python -m`` does.

    Raises:
        AppLoadError: it cannot be imported, or is no app.
    """
    app = app_of(load_object(spec), spec)
    app.import_spec = full_spec(spec)
    return app


def load_object(spec: str) -> Any:
    """
    Import what *spec* names, whatever it is.

    Raises:
        AppLoadError: it cannot be imported.
    """
    full = full_spec(spec)
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    return import_spec(full)


def app_of(found: object, spec: str = "") -> App:
    """
    The app that *found* is, or was made with.

    Raises:
        AppLoadError: it is none.
    """
    app = found if isinstance(found, App) else getattr(found, "chariots", None)
    if isinstance(app, App):
        return app
    raise AppLoadError(
        f"{spec or 'this object'!r} is of type {type(found).__name__}, and no app: "
        "give a PipelinesServer or an App"
    )
