"""
What is written on an exception as it leaves a run, and how it is read again.

The classes of such exceptions are the users' own. One may answer for each
attribute, or refuse all; so their own methods are asked for none of it.
"""

from __future__ import annotations

from contextlib import suppress
from enum import Enum
from typing import Final

#: Where a run leaves the leaf path of the node whose op raised.
NODE_ATTRIBUTE: Final = "__chariots_node__"

_PHASE: Final = "__chariots_phase__"
_NOTES: Final = "__notes__"


class Phase(Enum):
    """
    The part of a job in which an exception was raised.
    """

    #: the run itself: ops, callbacks, the output as JSON
    run = "run"
    #: saving what the run trained
    staging = "staging"


def set_node(error: BaseException, path: str) -> None:
    """
    Write on *error* the leaf path of the node that raised it. Never raises itself.
    """
    with suppress(Exception):
        object.__setattr__(error, NODE_ATTRIBUTE, path)


def node_of(error: BaseException) -> str | None:
    """
    The leaf path of the node that raised *error*; ``None``: no node did. Never raises itself.
    """
    node = _own(error, NODE_ATTRIBUTE)
    return node if isinstance(node, str) else None


def set_phase(error: BaseException, phase: Phase) -> None:
    """
    Write on *error* the part of a job that raised it. Never raises itself.
    """
    with suppress(Exception):
        object.__setattr__(error, _PHASE, phase)


def phase_of(error: BaseException) -> Phase | None:
    """
    The part of a job that raised *error*; ``None``: another one, or it is not known.
    Never raises itself.
    """
    phase = _own(error, _PHASE)
    return phase if isinstance(phase, Phase) else None


def add_note(error: BaseException, note: str) -> None:
    """
    Add *note* to *error*, unless it has it already. Never raises itself.
    """
    with suppress(Exception):
        notes = _own(error, _NOTES)
        if notes is None:
            object.__setattr__(error, _NOTES, [note])
        elif isinstance(notes, list) and note not in notes:
            notes.append(note)


def _own(error: BaseException, name: str) -> object:
    """
    What *error* holds under *name*, without a ``__getattr__`` that makes something up.
    """
    with suppress(Exception):
        return object.__getattribute__(error, name)
    return None
