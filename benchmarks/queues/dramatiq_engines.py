"""
Dramatiq, raw and under Chariots, on Redis and on RabbitMQ.

RabbitMQ is the machine's own, ``BENCH_RABBITMQ_URL``; results and jobs are in a
Redis of the measurement's own for both.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks.queues.engines import Chariots, RedisEngine, wait_until

RABBITMQ: Final = os.environ.get("BENCH_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/%2F")


def delete_queues(*names: str) -> None:
    """
    Begin without what an earlier measurement left.
    """
    import pika

    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(RABBITMQ))) as connection:
        channel = connection.channel()
        for name in names:
            for full in (name, f"{name}.DQ", f"{name}.XQ"):
                channel.queue_delete(full)


class RawDramatiq(RedisEngine):
    """
    Dramatiq with its default middleware and a result backend in Redis, on Redis.
    """

    name = "raw Dramatiq on Redis"

    def broker_url(self) -> str:
        """
        Where its messages are.
        """
        return f"{self.environment['BENCH_REDIS_URL']}/0"

    def open(self) -> None:
        super().open()
        self.environment["BENCH_BROKER_URL"] = os.environ["BENCH_BROKER_URL"] = self.broker_url()
        import redis

        self.results = redis.Redis(port=self.port, db=1)
        from benchmarks.queues import raw_dramatiq

        # The module reads the servers' addresses as it is imported.
        self.raw = importlib.reload(raw_dramatiq)

    def close(self) -> None:
        self.raw.broker.close()
        self.results.close()
        super().close()

    def start_workers(self, n: int) -> None:
        self.spawn(
            str(Path(sys.executable).with_name("dramatiq")),
            *("benchmarks.queues.raw_dramatiq", "--processes", str(n), "--threads", "8"),
        )
        warm = [self.submit(1) for _ in range(n)]
        wait_until(lambda: all(self.is_done(job) for job in warm), "the first job's end")

    def submit(self, number: int) -> Any:
        self.submitted += 1
        return self.raw.is_odd.send(number)

    def is_done(self, job: Any) -> bool:
        return bool(self.results.exists(self.raw.backend.build_message_key(job)))

    def pending(self) -> int:
        return self.submitted - int(self.results.dbsize())


class RawDramatiqRabbit(RawDramatiq):
    """
    The same, with its messages in RabbitMQ.
    """

    name = "raw Dramatiq on RabbitMQ"

    def broker_url(self) -> str:
        """
        The machine's RabbitMQ.
        """
        delete_queues("bench")
        return RABBITMQ


class ChariotsDramatiq(Chariots, RedisEngine):
    """
    Chariots on Dramatiq on Redis.
    """

    name = "chariots dramatiq on Redis, warm"

    def worker_pool(self) -> dict[str, Any]:
        return {"backend": "dramatiq", "url": self.environment["BENCH_REDIS_URL"]}

    def open(self) -> None:
        RedisEngine.open(self)
        Chariots.open(self)

    def close(self) -> None:
        Chariots.close(self)
        RedisEngine.close(self)


class ChariotsDramatiqThread(ChariotsDramatiq):
    """
    The same, without a child for the jobs.
    """

    name = "chariots dramatiq on Redis, thread"
    isolation = "thread"


class ChariotsDramatiqRabbit(ChariotsDramatiq):
    """
    Chariots on Dramatiq, with its messages in RabbitMQ and its jobs in Redis.
    """

    name = "chariots dramatiq on RabbitMQ, warm"

    def worker_pool(self) -> dict[str, Any]:
        delete_queues("chariots.bench.default")
        store = self.environment["BENCH_REDIS_URL"]
        return {"backend": "dramatiq", "url": RABBITMQ, "job_store": store}


class ChariotsDramatiqRabbitThread(ChariotsDramatiqRabbit):
    """
    The same, without a child for the jobs.
    """

    name = "chariots dramatiq on RabbitMQ, thread"
    isolation = "thread"
