"""
Which server, and with how many threads: what the default of ``chariots serve`` rests on.

``python -m benchmarks.http.servers``: not part of the suites, since it judges
nothing; it is run again when a server or the way runs take turns changes.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from functools import partial

from benchmarks.harness import Case, run_suite
from benchmarks.http.run import CALLS, CONNECTIONS, measure, served

SERVERS = (("default", 1), ("default", 8), ("sync", 1), ("gthread", 8))


def main() -> int:
    """
    Measure our app behind each server.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    with ExitStack() as stack:
        running = {
            f"{server} x {threads} threads": stack.enter_context(
                served("ours", server, threads=threads)
            )
            for server, threads in SERVERS
        }
        cases = [
            Case(
                name=f"{call}, {n} connections, {name}",
                measure=partial(measure, server, call, n, options.seconds),
            )
            for call in CALLS
            for n in CONNECTIONS
            for name, server in running.items()
        ]
        run_suite("servers", cases, [], rounds=options.rounds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
