"""
Apps named by text: ``package.module:attribute``, the same in a parent and in its children.
"""

from __future__ import annotations

import sysconfig
import traceback
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Final

import chariots_core
from chariots_core.errors import AppLoadError, ChariotsError

_FORM = "write it as 'package.module:attribute', e.g. 'my_package.app:app'"

#: Where code lies that the author of an app has not written.
_NOT_THEIRS: Final = (
    str(Path(chariots_core.__file__).parent),
    "<frozen ",
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
)


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
        AppLoadError: it cannot be imported; a note says where that came up.
        ChariotsError: what the module met as it made the app, with such a note.
    """
    module, _, attribute = full_spec(spec).partition(":")
    found = _import_module(module, spec)
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise AppLoadError(f"app {spec!r} has no attribute {name!r}: {_FORM}") from error
    return found


def _import_module(module: str, spec: str) -> object:
    try:
        return import_module(module)
    except ChariotsError as error:
        # It says by itself what is wrong and what to do.
        _add_place(error, error, module)
        raise
    except (Exception, SystemExit) as error:
        text = f"module {module!r} of app {spec!r} cannot be imported ({type(error).__name__}: {error})"
        if _is_missing(module, error):
            raise AppLoadError(f"{text}: {_FORM}, and call from the folder that has it") from error
        failed = AppLoadError(f"{text}: correct what it does as it is imported")
        _add_place(failed, error, module)
        raise failed from error


def _is_missing(module: str, error: BaseException) -> bool:
    """
    Whether *error* says that the module itself is not there, or a package that it is in.
    """
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return False
    return f"{module}.".startswith(f"{error.name}.")


def _add_place(target: BaseException, error: BaseException, module: str) -> None:
    """
    Note on *target* where in the author's own code *error* came up, if it was there.
    """
    frames = (
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_theirs(frame, module)
    )
    lines = traceback.StackSummary.extract(frames).format()
    if isinstance(error, SyntaxError):
        # It names the line that could not be read, which no frame does; its last line is the message.
        lines += traceback.format_exception_only(error)[:-1]
    if lines:
        target.add_note("".join(lines).rstrip())


def _is_theirs(frame: FrameType, module: str) -> bool:
    name = str(frame.f_globals.get("__name__", ""))
    if name.partition(".")[0] == module.partition(".")[0]:
        # An app may be installed where libraries are.
        return True
    return not frame.f_code.co_filename.startswith(_NOT_THEIRS)
