"""
What becomes of a job whose worker is killed: raw engines and backends of Chariots, side by side.

A worker begins a job of an hour; all its processes get SIGKILL. Then: what does
a look-up say, and when; is the job started again, and when? Once while another
worker is idle, once while there is none. Defaults everywhere.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import psutil
import redis

REPO = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
RESULTS = REPO / "benchmarks" / "results"


class Engine(ABC):
    """
    An engine on a Redis of its own, or on none.
    """

    name: str

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.ledger = folder / "ledger"
        self.redis = redis.Redis(port=port)
        self.url = f"redis://127.0.0.1:{port}"
        self.environment = {
            **os.environ,
            "BENCH_REDIS_URL": self.url,
            "BENCH_FOLDER": str(folder),
            "PYTHONPATH": str(REPO),
        }
        self.workers: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def command(self) -> list[str]:
        """What starts a worker."""

    @abstractmethod
    def submit(self) -> Callable[[], str]:
        """Submit the job; return what tells what a look-up says of it."""

    def start(self) -> None:
        """
        Start one worker.
        """
        with (self.folder / "log").open("ab") as log:
            self.workers.append(
                subprocess.Popen(
                    self.command(),
                    env=self.environment,
                    cwd=REPO,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    def starts(self) -> list[int]:
        """
        The processes in which the job began, in order.
        """
        text = self.ledger.read_text() if self.ledger.exists() else ""
        return [int(line) for line in text.splitlines()]

    def close(self) -> None:
        """
        Kill what is left.
        """
        for worker in self.workers:
            kill_tree(worker)
        self.redis.close()


class RawRQ(Engine):
    """
    RQ's own worker, which forks for each job.
    """

    name = "raw RQ"

    def command(self) -> list[str]:
        return [str(BIN / "rq"), "worker", "bench", "--url", self.url]

    def submit(self) -> Callable[[], str]:
        from rq import Queue

        from benchmarks.crashes.jobs import hang

        job = Queue("bench", connection=self.redis).enqueue(
            hang, str(self.ledger), job_timeout=7200
        )
        return lambda: str(job.get_status(refresh=True).value)


class RawDramatiq(Engine):
    """
    Dramatiq on Redis, with a result backend.
    """

    name = "raw Dramatiq"

    def command(self) -> list[str]:
        return [
            str(BIN / "dramatiq"),
            *("benchmarks.crashes.jobs", "--processes", "1", "--threads", "1"),
        ]

    def submit(self) -> Callable[[], str]:
        from dramatiq.results import ResultMissing

        os.environ["BENCH_REDIS_URL"] = self.url
        os.environ.pop("BENCH_WORKER_POOL", None)
        jobs = importlib.reload(importlib.import_module("benchmarks.crashes.jobs"))
        message = jobs.dramatiq_hang.send(str(self.ledger))

        def status() -> str:
            try:
                message.get_result(backend=jobs.broker.get_results_backend())
            except ResultMissing:
                return "no result"
            return "result"

        return status


class Chariots(Engine):
    """
    A backend of Chariots, with its default lease of 15 seconds.
    """

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder, port)
        self.environment["BENCH_WORKER_POOL"] = json.dumps(self.pool())

    @abstractmethod
    def pool(self) -> Mapping[str, Any]:
        """The backend and its options."""

    def command(self) -> list[str]:
        return [
            sys.executable,
            *("-m", "chariots_core.cli", "worker", "benchmarks.crashes.jobs:app"),
        ]

    def submit(self) -> Callable[[], str]:
        os.environ |= {
            name: self.environment[name] for name in ("BENCH_FOLDER", "BENCH_WORKER_POOL")
        }
        jobs = importlib.reload(importlib.import_module("benchmarks.crashes.jobs"))
        app = jobs.app.chariots
        job_id = app.submit("hang", str(self.ledger), max_attempts=self.attempts).record.id

        def status() -> str:
            record = app.fetch_job(job_id)
            return " ".join(part for part in (record.status.value, record.reason or "") if part)

        return status

    attempts = 1


class Local(Chariots):
    """
    The built-in one.
    """

    name = "chariots local"

    def pool(self) -> Mapping[str, Any]:
        return {"backend": "local", "url": f"sqlite:///{self.folder}/jobs.db"}


class ChariotsRQ(Chariots):
    """
    On RQ.
    """

    name = "chariots rq"

    def pool(self) -> Mapping[str, Any]:
        return {"backend": "rq", "url": self.url}


class ChariotsDramatiq(Chariots):
    """
    On Dramatiq, two attempts.
    """

    name = "chariots dramatiq, 2 attempts"
    attempts = 2

    def pool(self) -> Mapping[str, Any]:
        return {"backend": "dramatiq", "url": self.url}


ENGINES: Final = (RawRQ, RawDramatiq, Local, ChariotsRQ, ChariotsDramatiq)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """
    SIGKILL for a worker and all its descendants, at once.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        for each in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)
    process.wait(10)


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    """
    Poll each 50 ms; whether it became true in time.
    """
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


def observe(kind: type[Engine], *, idle: bool, seconds: float) -> dict[str, Any]:
    """
    Kill one worker in the middle of the job, and watch.
    """
    with tempfile.TemporaryDirectory(prefix="chariots-crash-") as name:
        folder = Path(name)
        port = _free_port()
        server = subprocess.Popen(
            ["redis-server", "--port", str(port), "--save", "", "--dir", name],
            stdout=subprocess.DEVNULL,
        )
        engine = kind(folder, port)
        try:
            assert wait_for(lambda: _answers(engine.redis), 10)
            engine.start()
            status = engine.submit()
            assert wait_for(engine.starts, 30), (folder / "log").read_text()
            if idle:
                engine.start()
                time.sleep(3)
            first = status()
            kill_tree(engine.workers[0])
            return _watch(engine, status, first, seconds)
        finally:
            engine.close()
            server.kill()
            server.wait()


def _watch(engine: Engine, status: Callable[[], str], first: str, seconds: float) -> dict[str, Any]:
    began = time.monotonic()
    seen, changed, again = first, None, None
    while time.monotonic() < began + seconds and (changed is None or again is None):
        now = status()
        if changed is None and now != first:
            seen, changed = now, time.monotonic() - began
            if now.startswith("failed"):
                break
        if again is None and len(engine.starts()) > 1:
            again = time.monotonic() - began
            break
        time.sleep(0.1)
    return {"before": first, "after": seen, "changed after s": changed, "again after s": again}


def _answers(client: redis.Redis) -> bool:
    with contextlib.suppress(redis.ConnectionError):
        return bool(client.ping())
    return False


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """
    Watch every engine, and print a table.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="not used: one look says it all")
    parser.add_argument("--seconds", type=float, default=120.0)
    options = parser.parse_args()
    rows = []
    for kind in ENGINES:
        for idle in (True, False):
            seen = observe(kind, idle=idle, seconds=options.seconds)
            rows.append({"engine": kind.name, "another worker": idle, **seen})
            print(json.dumps(rows[-1]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "crashes.json").write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
