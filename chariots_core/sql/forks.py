"""
Databases and forks.

An SQLite file that is open in a process that forks is dangerous to both sides:
the child inherits SQLite's belief to hold locks that it does not hold. So
nothing is open at the moment of a fork: it waits for running transactions of
other threads, closes idle connections, and both sides connect anew when they
need to. A connection to a server is simply left to the parent: the child
neither uses nor closes it.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any, Final, Protocol


class Forkable(Protocol):
    """
    What has to know that its process forks.
    """

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork_in_child(self) -> None: ...


_known: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
_forking: Final[list[Forkable]] = []
_one_at_a_time: Final = threading.RLock()

#: What children must keep and never close.
_inherited: Final[list[object]] = []


def watch(item: Forkable) -> None:
    """
    Tell *item* of every fork from now on, for as long as it lives.
    """
    _known.add(item)


def keep_for_ever(item: object) -> None:
    """
    Keep something of the parent's from being closed by this process.
    """
    _inherited.append(item)


def _before() -> None:
    _one_at_a_time.acquire()
    for item in list(_known):
        _forking.append(item)
        item.before_fork()


def _after_in_parent() -> None:
    while _forking:
        _forking.pop().after_fork_in_parent()
    _one_at_a_time.release()


def _after_in_child() -> None:
    # The thread that forked is the one that goes on, and it holds the lock.
    while _forking:
        _forking.pop().after_fork_in_child()
    _one_at_a_time.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
