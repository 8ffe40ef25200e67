"""
The names of pipelines, nodes and ops: what every store of them can keep.
"""

from __future__ import annotations

from typing import Final

from chariots_core.errors import GraphError

#: The longest name, in characters: what the tables of the op store have room for.
LONGEST_NAME: Final = 255


def checked_name(name: object, what: str) -> str:
    """
    *name*, if a pipeline or a node can be called so.

    Args:
        name: what its author says.
        what: what is called so, for the message.

    Raises:
        GraphError: it cannot.
    """
    if not isinstance(name, str) or not name or "/" in name:
        raise GraphError(
            f"{name!r} is no name for {what}: give a text that is not empty and holds no '/'"
        )
    if fault := fault_of(name):
        raise GraphError(f"{shown(name)} is no name for {what}: {fault}")
    return name


def fault_of(name: str) -> str | None:
    """
    Why a store cannot keep *name*, and what to do; ``None``: it can.
    """
    if len(name) > LONGEST_NAME:
        return f"it has {len(name)} characters; give {LONGEST_NAME} at most"
    if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
        return (
            "it holds a character that stores cannot keep (NUL, or one half of a surrogate "
            "pair); leave that out"
        )
    return None


def shown(name: str) -> str:
    """
    *name* as a message shows it: its beginning, where it is long.
    """
    return repr(name) if len(name) <= LONGEST_NAME else f"{name[:40]!r}..."
