"""
Pipelines in the request against Flask views written by hand, under the same server.

Both apps are served by the server that ``chariots serve`` uses, with its
settings, do the same work and give the same body. ``cpu_us`` is the processor
time that the server's processes took for one request: on a machine that does
other things as well it is steadier than requests per second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from benchmarks.harness import Case, Target, run_suite
from chariots_core.server.serving import THREADS

CALLS = {
    "odd": ("/pipelines/is_odd/main", '{"pipeline_input": 4}'),
    "iris": ("/pipelines/iris/main", '{"pipeline_input": [[5.1, 3.5, 1.4, 0.2]]}'),
}
CONNECTIONS = (1, 16)
PROCESSES = 2
SECONDS = 3.0
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """
    Measure, print, write.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    with served("raw") as raw, served("ours") as ours:
        cases = [
            Case(
                name=case_name(app, call, n),
                measure=partial(measure, server, call, n, options.seconds),
            )
            for call in CALLS
            for n in CONNECTIONS
            for app, server in (("raw", raw), ("ours", ours))
        ]
        targets = [
            Target(
                figure="rps",
                ours=case_name("ours", call, n),
                floor=case_name("raw", call, n),
                bound=0.9,
                at_least=True,
            )
            for call in CALLS
            for n in CONNECTIONS
        ]
        report = run_suite("http", cases, targets, rounds=options.rounds)
    return 0 if all(target["met"] for target in report["targets"]) else 1  # type: ignore[attr-defined]


def case_name(app: str, call: str, connections: int) -> str:
    """
    A case's name in the table.
    """
    return f"{call}, {connections} connections, {app}"


def measure(
    server: tuple[int, int], call: str, connections: int, seconds: float
) -> Mapping[str, float]:
    """
    One load on one server, made by a process of its own.
    """
    port, pid = server
    path, body = CALLS[call]
    before = processor_time(pid)
    arguments = [str(port), path, body, str(connections), str(seconds)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.http.load", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout)
    requests = figures.pop("requests")
    figures["cpu_us"] = (processor_time(pid) - before) / requests * 1e6
    return figures


def processor_time(pid: int) -> float:
    """
    Seconds that a process and all that came from it have computed.
    """
    total = 0.0
    for one in [pid, *_descendants(pid)]:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
    return total


def _descendants(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _descendants(int(child))


@contextlib.contextmanager
def served(
    app: str, server: str = "default", *, processes: int = PROCESSES, threads: int = THREADS
) -> Iterator[tuple[int, int]]:
    """
    An app behind a port, with the process that serves it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    arguments = [app, server, *map(str, (port, processes, threads))]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.http.serve_app", *arguments],
        stdout=subprocess.DEVNULL,
        # the system shares processors out by sessions: each app gets one
        start_new_session=True,
    )
    try:
        wait_until(partial(answers, port), f"the server of {app}")
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def answers(port: int) -> bool:
    """
    Whether something listens there.
    """
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """
    Return when *condition* holds.
    """
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not come")
        time.sleep(0.05)


if __name__ == "__main__":
    raise SystemExit(main())
