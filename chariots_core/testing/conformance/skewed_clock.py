"""
A process whose clock is wrong: run a module after the clocks of Python were moved.

Run by path, as ``python -P .../skewed_clock.py SECONDS MODULE ARGUMENT...``, so
that nothing of Chariots is imported before the clocks are wrong. The store's
clock, which lives elsewhere, stays right.
"""

from __future__ import annotations

import datetime as dt
import runpy
import sys
import time
from typing import Self


def launcher(seconds: float, module: str = "chariots_core.cli") -> list[str]:
    """
    What Python is to run instead of ``-m module``.
    """
    return ["-P", __file__, str(seconds), module]


def skew(seconds: float) -> None:
    """
    Move what Python says the time of day is; durations stay right.
    """
    right_time, right_time_ns, right_class = time.time, time.time_ns, dt.datetime
    delta = dt.timedelta(seconds=seconds)

    class SkewedDatetime(right_class):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Self:
            wrong: Self = super().now(tz) + delta
            return wrong

    time.time = lambda: right_time() + seconds
    time.time_ns = lambda: right_time_ns() + int(seconds * 1e9)
    dt.datetime = SkewedDatetime  # type: ignore[misc]


def main() -> None:
    """
    Run a module as the command line says.
    """
    seconds, module, *arguments = sys.argv[1:]
    skew(float(seconds))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
