"""
The default name of an app: the name of the module that creates it.
"""

from __future__ import annotations

import hashlib
import re
import sys
import sysconfig
from types import FrameType
from typing import Any, Final

import attrs

from chariots_core.app.checks import MAX_NAME, checked_name
from chariots_core.errors import ConfigurationError
from chariots_core.versioning.parameters import imported_name

#: Packages whose code creates apps for its callers.
_OURS: Final = frozenset({"chariots", "chariots_core"})

#: Folders of the standard library. They may contain ``site-packages``, so a
#: module counts as standard by its name as well.
_STANDARD: Final = ("<frozen ", *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib")})

_NOT_ALLOWED: Final = re.compile(r"[^A-Za-z0-9_.-]", re.ASCII)


@attrs.frozen
class Creator:
    """
    The code that creates an app.

    Attributes:
        module: the module's ``__name__`` in this process.
        imported: the module's name in a process that imports it.
        place: file and line, for logs.
    """

    module: str
    imported: str
    place: str


def creator_of(made: object) -> Creator | None:
    """
    Find the code that creates *made*, an object whose constructor is running.

    The innermost frame on the stack counts that belongs neither to Chariots, nor
    to the standard library, nor to the construction itself: a constructor or an
    alternative constructor (class method) of a subclass, in any module.

    Returns:
        The creator; ``None`` if no such frame is on the stack.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the one way to the stack
    while frame is not None:
        module = frame.f_globals.get("__name__")
        if isinstance(module, str) and module and not _is_passed_over(frame, module, made):
            return Creator(
                module=module,
                imported=imported_name(module, frame.f_globals),
                place=f"{frame.f_code.co_filename}:{frame.f_lineno}",
            )
        frame = frame.f_back
    return None


def default_names(creator: Creator | None) -> tuple[str, str]:
    """
    Return the default name of an app, and the ``__name__`` of the module behind it.

    Args:
        creator: the code that creates the app; see `creator_of`.

    Raises:
        ConfigurationError: no code of a module creates it, for example because a
            thread calls the class itself.
    """
    if creator is None:
        raise ConfigurationError(
            "the app has no name, and no module of yours creates it that could give one: "
            "give import_name"
        )
    return app_name_of(creator.imported), creator.module


def app_name_of(module: str) -> str:
    """
    Convert the name of a module to the name of an app.

    A name that is not valid for an app is made valid; a digest then keeps the
    names of two modules apart.

    >>> app_name_of("shop"), app_name_of("proj.shop"), app_name_of("my shop")
    ('shop', 'proj.shop', 'my_shop-21e023')
    """
    try:
        return checked_name(module)
    except ConfigurationError:
        digest = hashlib.sha256(module.encode("utf-8", "surrogatepass")).hexdigest()[:6]
        kept = _NOT_ALLOWED.sub("_", module).lstrip(".-")[-(MAX_NAME - len(digest) - 1) :]
        return checked_name(f"{kept.lstrip('.-')}-{digest}".lstrip("-"))


def _is_passed_over(frame: FrameType, module: str, made: object) -> bool:
    package = module.partition(".")[0]
    if package in _OURS:
        return True
    if package in sys.stdlib_module_names and frame.f_code.co_filename.startswith(_STANDARD):
        return True
    return _constructs(frame, made)


def _constructs(frame: FrameType, made: object) -> bool:
    """
    Whether *frame* runs a method of *made*, or a class method of its class.
    """
    code = frame.f_code
    if not code.co_argcount:
        return False
    first: Any = frame.f_locals.get(code.co_varnames[0])
    return first is made or (isinstance(first, type) and first in type(made).__mro__)
