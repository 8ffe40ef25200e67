"""
Apps named by text: ``package.module:attribute``.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from chariots_core.app.application import App
from chariots_core.errors import AppLoadError

_FORM = "write it as 'package.module:attribute', e.g. 'my_package.app:app'"


def load_app(spec: str) -> App:
    """
    Import the app that *spec* names: an `App`, or a server made with one.

    The folder one stands in is looked in first, as ``python -m`` does.

    Raises:
        AppLoadError: it cannot be imported, or is no app.
    """
    app = app_of(load_object(spec), spec)
    app.import_spec = spec
    return app


def load_object(spec: str) -> Any:
    """
    Import what *spec* names, whatever it is.

    Raises:
        AppLoadError: it cannot be imported.
    """
    module_name, colon, attribute = spec.partition(":")
    if not module_name or (colon and not attribute):
        raise AppLoadError(f"{spec!r} does not name an app: {_FORM}")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise AppLoadError(
            f"module {module_name!r} of app {spec!r} cannot be imported "
            f"({type(error).__name__}: {error}): {_FORM}, and call from the folder that has it"
        ) from error
    for name in (attribute or "app").split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise AppLoadError(f"app {spec!r} has no attribute {name!r}: {_FORM}") from error
    return found


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
