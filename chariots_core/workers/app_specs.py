"""
Apps named by text: ``package.module:attribute``, the same in a parent and in its children.
"""

from __future__ import annotations

from importlib import import_module

from chariots_core.errors import AppLoadError

_FORM = "write it as 'package.module:attribute', e.g. 'my_package.app:app'"


def full_spec(spec: str) -> str:
    """
    *spec* with its attribute, which is ``app`` where it names none.

    Raises:
        AppLoadError: it does not name an app.
    """
    module, colon, attribute = spec.partition(":")
    if not module or (colon and not attribute):
        raise AppLoadError(f"{spec!r} does not name an app: {_FORM}")
    return f"{module}:{attribute or 'app'}"


def import_spec(spec: str) -> object:
    """
    Import what *spec* names, whatever it is.

    Raises:
        AppLoadError: it cannot be imported.
    """
    module, _, attribute = full_spec(spec).partition(":")
    try:
        found: object = import_module(module)
    except (Exception, SystemExit) as error:
        raise AppLoadError(
            f"module {module!r} of app {spec!r} cannot be imported "
            f"({type(error).__name__}: {error}): {_FORM}, and call from the folder that has it"
        ) from error
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise AppLoadError(f"app {spec!r} has no attribute {name!r}: {_FORM}") from error
    return found
