"""
A process that watches itself: what it opened while its app was made, and what it holds.
"""

from __future__ import annotations

import sys
from typing import Any, Final, Self

import psutil

#: What Python tells of that a process does, and that making a pool must not do.
WATCHED: Final = frozenset(
    {
        "_thread.start_new_thread",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "socket.bind",
        "socket.connect",
        "socket.sendto",
        "sqlite3.connect",
        "subprocess.Popen",
    }
)


class Watch:
    """
    Notes what this process opens or starts within its block.

    Attributes:
        events: the names of what happened, in order.
    """

    def __init__(self) -> None:
        self.events: list[str] = []
        self._open = False
        # It stays until the process ends: Python has no call that takes a hook off.
        sys.addaudithook(self._hear)

    def __enter__(self) -> Self:
        self._open = True
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False

    def _hear(self, event: str, _: tuple[Any, ...]) -> None:
        if self._open and event in WATCHED:
            self.events.append(event)


def holdings() -> dict[str, int]:
    """
    How much of what can leak this process holds now.
    """
    me = psutil.Process()
    return {
        "threads": me.num_threads(),
        "children": len(me.children(recursive=True)),
        "files": me.num_fds(),
        # Libraries in C connect without a word to Python.
        "connections": [each.status for each in me.net_connections(kind="inet")].count(
            psutil.CONN_ESTABLISHED
        ),
    }
