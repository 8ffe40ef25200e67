"""
Every suite, one after the other: ``python -m benchmarks``.

Give names to run only some, and ``--rounds N`` to repeat more or fewer times.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

SUITES = {
    "startup": ("benchmarks.startup",),
    "queues": ("benchmarks.queues.run", "queues"),
    "rq": ("benchmarks.queues.run", "rq"),
    "dramatiq": ("benchmarks.queues.run", "dramatiq"),
    "redis-records": ("benchmarks.redis_records",),
    "crashes": ("benchmarks.crashes.run",),
    "http": ("benchmarks.http.run",),
}


def main() -> int:
    """
    Run the suites, each in a process of its own.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", choices=[[], *SUITES], help="which; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    codes = [
        subprocess.run(
            [sys.executable, "-m", *SUITES[name], "--rounds", str(options.rounds)], check=False
        ).returncode
        for name in options.suites or SUITES
    ]
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main())
