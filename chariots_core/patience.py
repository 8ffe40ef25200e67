"""
Waiting for others, for as long as nothing more urgent has come up.

A worker calls its stores from the loop that watches a job. A store that is
locked or silent must not hold that loop when the job's time is over, or when
the worker is to stop at once. So whoever waits for something outside of this
process asks `is_over` several times a second, and gives up where it is.

>>> with bounded(seconds=0):
...     is_over()
True
>>> is_over()
False
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

_give_up: Final[ContextVar[Callable[[], bool] | None]] = ContextVar("give_up", default=None)


def never() -> bool:
    """
    Nothing is urgent.
    """
    return False


class bounded:  # noqa: N801 - it is used as a function
    """
    Within the block, calls of this thread do not wait for longer than *seconds*
    in all, nor once *unless* is true. Bounds of blocks around it hold as well.

    Args:
        seconds: what is done without waiting is not bounded by them.
        unless: asked while something is waited for: quick, and waits for nothing.
    """

    def __init__(self, *, seconds: float = math.inf, unless: Callable[[], bool] = never) -> None:
        self._seconds = seconds
        self._unless = unless

    def __enter__(self) -> None:
        self._ends = time.monotonic() + self._seconds
        self._outer = _give_up.get()
        self._token = _give_up.set(self._is_over)

    def __exit__(self, *_: object) -> None:
        _give_up.reset(self._token)

    def _is_over(self) -> bool:
        if self._unless() or time.monotonic() >= self._ends:
            return True
        return self._outer is not None and self._outer()


def is_over() -> bool:
    """
    Whether to wait no longer.
    """
    give_up = _give_up.get()
    return give_up is not None and give_up()


def is_bounded() -> bool:
    """
    Whether `is_over` may come true: else nobody needs to ask it.
    """
    return _give_up.get() is not None


if hasattr(os, "register_at_fork"):
    # What is urgent to this process is nothing to a copy of it.
    os.register_at_fork(after_in_child=lambda: _give_up.set(None))
