"""
Signals to web processes and to their parent, none of which may be overlooked.

A child inherits what its parent does on a signal. The parent of web processes
notes that it is to stop; a child that notes the same tells nobody, and lives on
after its parent has told it to end.

And each of them sleeps in its main thread, on a lock, while only the main thread
runs handlers of Python. A signal that comes in the moment before it falls asleep,
or that the system gives to another thread, does not wake it.
"""

from __future__ import annotations

import os
import signal
import threading
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


def handle_beside_main() -> None:
    """
    From here on, a thread runs this process's handlers of SIGINT and SIGTERM as well,
    so that they run even while the main thread sleeps. They must bear to run twice.

    To be called in the main thread. Children are not concerned.
    """
    hears, says = os.pipe()
    os.set_blocking(says, False)
    signal.set_wakeup_fd(says, warn_on_full_buffer=False)
    # A signal to a child is none to this process.
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    threading.Thread(target=_handle, args=(hears,), name="chariots-signals", daemon=True).start()


def _handle(hears: int) -> None:
    while numbers := os.read(hears, 64):
        for number in _SIGNALS.intersection(numbers):
            handler = signal.getsignal(number)
            if callable(handler):
                handler(number, None)


def _end(_number: int, _frame: object) -> NoReturn:
    # It serves nobody yet, so there is nothing to finish.
    os._exit(0)
