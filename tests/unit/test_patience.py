"""
Waiting for others: bounded by time, and by what is more urgent.
"""

from __future__ import annotations

import os
import threading

from chariots_core.patience import bounded, is_over
from tests.support import wait_until


def test_nobody_bounds_a_wait() -> None:
    """
    Where nobody says anything, a wait is never over.
    """
    assert not is_over()


def test_time_bounds_a_wait() -> None:
    """
    A wait is over when its seconds are, and only within the block.
    """
    with bounded(seconds=0.05):
        wait_until(is_over, timeout=1.0)

    assert not is_over()


def test_something_urgent_ends_a_wait() -> None:
    """
    A wait is over while something is urgent.
    """
    urgent: list[str] = []
    with bounded(unless=lambda: bool(urgent)):
        before = is_over()
        urgent.append("now")

        assert (False, True) == (before, is_over())


def test_outer_bounds_hold() -> None:
    """
    A block within another one waits for no longer than that.
    """
    with bounded(seconds=0.0):
        with bounded(seconds=60.0):
            assert is_over()
        assert is_over()


def test_other_threads_wait_as_they_like() -> None:
    """
    What is urgent to one thread is nothing to another.
    """
    seen: list[bool] = []
    with bounded(seconds=0.0):
        thread = threading.Thread(target=lambda: seen.append(is_over()))
        thread.start()
        thread.join()

    assert [False] == seen


def test_child_waits_as_it_likes() -> None:
    """
    What is urgent to a process is nothing to its copy.
    """
    with bounded(seconds=0.0):
        pid = os.fork()
        if pid == 0:
            os._exit(int(is_over()))

        assert 0 == os.waitpid(pid, 0)[1]
