"""
Signals to a process that has just been forked, and does not listen yet.

A child inherits what its parent does on a signal. The parent of web processes
notes that it is to stop; a child that notes the same tells nobody, and lives on
after its parent has told it to end.
"""

from __future__ import annotations

import os
import signal
from typing import Final, NoReturn

_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM})


def end_early_children() -> None:
    """
    From here on, a child that this process forks ends when it is told to before
    it has set up handlers of its own. Its own children are not concerned.
    """
    parent = os.getpid()
    blocked: list[set[signal.Signals]] = []

    def before() -> None:
        # What comes during the fork waits for the one that it was sent to.
        if os.getpid() == parent:
            blocked.append(signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS))  # type: ignore[arg-type]

    def in_parent() -> None:
        if blocked:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked.pop())

    def in_child() -> None:
        if blocked:
            for number in _SIGNALS:
                signal.signal(number, _end)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked.pop())

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def _end(_number: int, _frame: object) -> NoReturn:
    # It serves nobody yet, so there is nothing to finish.
    os._exit(0)
