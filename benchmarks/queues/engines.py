"""
One class for each engine: start workers, submit, watch the queue drain, stop.

Each engine gets servers and folders of its own, made for the measurement and
removed after it. Workers are separate processes, started by the engine's own
command.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import psutil

from chariots_core.jobs import JobStatus

REPO = Path(__file__).parents[2]
DEADLINE = 120.0


def wait_until(condition: Any, what: str) -> None:
    """
    Poll each 2 ms until *condition* holds.
    """
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {DEADLINE} s")
        time.sleep(0.002)


def free_port() -> int:
    """
    A port that nobody listens on.
    """
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Engine(ABC):
    """
    A queue with its worker processes.

    A context manager: inside it the servers run, and no worker does yet.
    """

    name: str
    submitted = 0
    #: what part of the jobs is enough to measure it: a slow one would take all the time
    share = 1

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="chariots-bench-"))
        self.processes: list[subprocess.Popen[bytes]] = []
        self.environment = dict(os.environ, BENCH_FOLDER=str(self.folder), PYTHONPATH=str(REPO))
        self.open()
        return self

    def __exit__(self, *_exc: object) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(self, *command: str, environment: dict[str, str] | None = None) -> None:
        """
        Start a process that lives until the context ends.
        """
        with (self.folder / "log.txt").open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    command,
                    env={**self.environment, **(environment or {})},
                    stdout=log,
                    stderr=log,
                    cwd=REPO,
                )
            )

    def tree(self) -> list[psutil.Process]:
        """
        The worker processes and all their descendants.
        """
        roots = [psutil.Process(p.pid) for p in self.processes if p.args[0] != "redis-server"]  # type: ignore[index]
        return [p for root in roots for p in (root, *root.children(recursive=True))]

    def memory_mb(self) -> float:
        """
        Proportional set size of the worker processes, in MB.
        """
        return self._sum(lambda process: process.memory_full_info().pss) / 1e6

    def cpu_seconds(self) -> float:
        """
        CPU time that the worker processes have used, and those of their children that have ended.
        """
        return self._sum(lambda process: sum(process.cpu_times()[:4]))

    def _sum(self, read: Callable[[psutil.Process], float]) -> float:
        total = 0.0
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):  # a fork per job comes and goes
                total += read(process)
        return total

    @abstractmethod
    def open(self) -> None:
        """Start servers and connect the client."""

    @abstractmethod
    def close(self) -> None:
        """Give the client's connections back."""

    @abstractmethod
    def start_workers(self, n: int) -> None:
        """Start *n* worker processes, and return when one has done a job."""

    @abstractmethod
    def submit(self, number: int) -> Any:
        """Submit one job; return what `is_done` wants."""

    @abstractmethod
    def is_done(self, job: Any) -> bool:
        """Whether one job's result can be read."""

    @abstractmethod
    def pending(self) -> int:
        """How many of the jobs since `drain` began are not done: one cheap question."""

    def freeze(self) -> None:
        """
        Stop every worker process where it is (SIGSTOP).
        """
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):  # a fork per job comes and goes
                process.suspend()

    def thaw(self) -> None:
        """
        Let the workers go on (SIGCONT).
        """
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


class RedisEngine(Engine):
    """
    An engine with a redis-server of its own.
    """

    def open(self) -> None:
        import redis

        self.port = free_port()
        self.environment["BENCH_REDIS_URL"] = f"redis://127.0.0.1:{self.port}"
        os.environ["BENCH_REDIS_URL"] = self.environment["BENCH_REDIS_URL"]
        self.spawn(
            *("redis-server", "--port", str(self.port), "--save", "", "--appendonly", "yes"),
            *("--appendfsync", "everysec", "--dir", str(self.folder)),
        )
        self.redis = redis.Redis(port=self.port)

        def answers() -> bool:
            with contextlib.suppress(redis.ConnectionError):
                return bool(self.redis.ping())
            return False

        wait_until(answers, "redis-server's start")

    def close(self) -> None:
        self.redis.close()


class RQSimple(RedisEngine):
    """
    RQ's SimpleWorker with the JSON serializer.
    """

    name = "raw RQ SimpleWorker"
    worker_class = "rq.SimpleWorker"

    def open(self) -> None:
        super().open()
        from rq import Queue

        self.queue = Queue("bench", connection=self.redis, serializer="json")

    def start_workers(self, n: int) -> None:
        rq = str(Path(sys.executable).with_name("rq"))
        for _ in range(n):
            self.spawn(
                *(rq, "worker", "bench", "--url", self.environment["BENCH_REDIS_URL"]),
                *(
                    "--worker-class",
                    self.worker_class,
                    "--serializer",
                    "rq.serializers.JSONSerializer",
                ),
            )
        warm = [self.submit(1) for _ in range(n)]
        wait_until(lambda: all(self.is_done(job) for job in warm), "the first RQ job's end")

    def submit(self, number: int) -> Any:
        from benchmarks.queues import raw_jobs

        self.submitted += 1
        return self.queue.enqueue(raw_jobs.is_odd, number, result_ttl=3600)

    def is_done(self, job: Any) -> bool:
        return bool(job.get_status(refresh=True).value == "finished")

    def pending(self) -> int:
        finished = int(self.redis.zcard("rq:finished:bench"))
        return self.submitted - finished


class RQFork(RQSimple):
    """
    RQ's default Worker, which forks for each job.
    """

    name = "raw RQ Worker (fork per job)"
    worker_class = "rq.Worker"
    share = 10


class CeleryPrefork(RedisEngine):
    """
    Celery's prefork pool, one process a worker, on Redis.
    """

    name = "raw Celery prefork"

    def open(self) -> None:
        super().open()
        from benchmarks.queues import raw_jobs

        # the module reads the server's address as it is imported
        raw_jobs = importlib.reload(raw_jobs)
        self.app = raw_jobs.celery_app
        self.task = raw_jobs.celery_is_odd
        import redis

        self.results = redis.Redis(port=self.port, db=1)

    def close(self) -> None:
        self.app.close()
        self.results.close()
        super().close()

    def start_workers(self, n: int) -> None:
        self.spawn(
            *(sys.executable, "-m", "celery", "-A", "benchmarks.queues.raw_jobs", "worker"),
            *("--pool", "prefork", "--concurrency", str(n), "--loglevel", "ERROR"),
        )
        warm = [self.submit(1) for _ in range(n)]
        wait_until(lambda: all(self.is_done(job) for job in warm), "the first Celery job's end")

    def submit(self, number: int) -> Any:
        self.submitted += 1
        return self.task.delay(number)

    def is_done(self, job: Any) -> bool:
        # what `AsyncResult` reads, without its cache
        return bool(self.results.exists(f"celery-task-meta-{job.id}"))

    def pending(self) -> int:
        return self.submitted - int(self.results.dbsize())


class Chariots(Engine):
    """
    Chariots on one of its backends, isolation warm.
    """

    isolation = "warm"

    @abstractmethod
    def worker_pool(self) -> dict[str, Any]:
        """The backend and its options."""

    def open(self) -> None:
        self.environment["BENCH_WORKER_POOL"] = json.dumps(self.worker_pool())
        os.environ |= {
            name: self.environment[name] for name in ("BENCH_FOLDER", "BENCH_WORKER_POOL")
        }
        from benchmarks.queues import app

        self.app = importlib.reload(app).app.chariots

    def close(self) -> None:
        self.app.close()

    def start_workers(self, n: int) -> None:
        for _ in range(n):
            self.spawn(
                *(sys.executable, "-m", "chariots_core.cli", "worker"),
                *("benchmarks.queues.app:app", "--isolation", self.isolation),
            )
        warm = [self.submit(1) for _ in range(n)]
        wait_until(lambda: all(self.is_done(job) for job in warm), "the first job's end")

    def submit(self, number: int) -> Any:
        return self.app.submit("is_odd", number).record.id

    def is_done(self, job: Any) -> bool:
        return self.app.job_store.get(job).status is JobStatus.done

    def pending(self) -> int:
        return sum(self.app.job_store.counts().values())


class Local(Chariots):
    """
    The built-in backend, on SQLite.
    """

    name = "chariots local"

    def worker_pool(self) -> dict[str, Any]:
        return {"backend": "local", "url": f"sqlite:///{self.folder}/jobs.db"}


class ChariotsRQ(Chariots, RedisEngine):
    """
    Chariots on RQ.
    """

    name = "chariots rq"

    def worker_pool(self) -> dict[str, Any]:
        return {"backend": "rq", "url": self.environment["BENCH_REDIS_URL"]}

    def open(self) -> None:
        RedisEngine.open(self)
        Chariots.open(self)

    def close(self) -> None:
        Chariots.close(self)
        RedisEngine.close(self)


class ChariotsRQFresh(ChariotsRQ):
    """
    Chariots on RQ, a child for each job.
    """

    name = "chariots rq, fresh"
    isolation = "fresh"
    share = 10


@contextlib.contextmanager
def running(engine: type[Engine], workers: int) -> Iterator[Engine]:
    """
    *engine* with idle workers.
    """
    with engine() as started:
        started.start_workers(workers)
        yield started
