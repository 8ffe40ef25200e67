"""
A swarm of brief jobs on RabbitMQ: some messages come in advance, and none waits behind a long job.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from chariots_core.jobs import lifecycle
from chariots_core.jobs.record import JobRecord, NewJob
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs_redis import RedisJobStore
from chariots_core.queues import Message, RabbitTransport
from chariots_core.queues.rabbit_consumer import _SWARM
from chariots_core.workers import SubmitRequest
from chariots_dramatiq import DramatiqWorkerPool
from tests.queues.support import Worker
from tests.rabbitmq_servers import RabbitProcess
from tests.redis_servers import RedisProcess
from tests.support import wait_until


class Queue:
    """
    A queue of an app of its own, with its jobs in Redis.
    """

    def __init__(self, rabbitmq: RabbitProcess, redis: RedisProcess, query: str = "") -> None:
        self.rabbitmq = rabbitmq
        self.app = f"swarm-{uuid.uuid4().hex[:8]}"
        transport = DramatiqWorkerPool(url=rabbitmq.url + query, job_store=redis.url).transport
        assert isinstance(transport, RabbitTransport)
        self.transport = transport
        self.store = RedisJobStore(redis.url, app=self.app)
        self.worker: Any = Worker(self.store)

    def consumer(self) -> Any:
        """
        What a worker takes messages with.
        """
        return self.transport.consumer(self.app, ["default"])

    def send(self, job_id: str) -> None:
        """
        Put in one message.
        """
        self.transport.send(
            SubmitRequest(job_id=job_id, app=self.app, pipeline="echo", backend="dramatiq")
        )

    def waiting(self) -> int:
        """
        How many messages are in the queue that nobody has got.
        """
        name = self.transport.queue(self.app, "default").name
        with contextlib.closing(self.rabbitmq.connect()) as client:
            return int(client.channel().queue_declare(name, passive=True).method.message_count)


@pytest.fixture(name="queue")
def _queue(rabbitmq: RabbitProcess, redis_server: RedisProcess) -> Iterator[Queue]:
    queue = Queue(rabbitmq, redis_server)
    yield queue
    queue.transport.close()
    queue.store.close()


def take(consumer: Any, queue: Queue, seconds: float = 10.0) -> Message | None:
    """
    The next message, if one comes in some seconds.
    """
    found: list[Message] = []

    def has_come() -> bool:
        message = consumer.take(queue.worker, 0.05)
        found.extend([] if message is None else [message])
        return bool(found)

    try:
        wait_until(has_come, seconds)
    except AssertionError:
        return None
    return found[0]


def make_swarm(consumer: Any, queue: Queue) -> None:
    """
    One job after the other that takes no time, until the consumer has noticed.
    """

    def is_noticed() -> bool:
        queue.send("brief")
        message = take(consumer, queue)
        assert message is not None
        consumer.drop(message)
        return bool(consumer._brief >= _SWARM)

    wait_until(is_noticed, 60.0)


def test_no_message_waits_behind_a_job(queue: Queue) -> None:
    """
    A worker whose jobs are no swarm has RabbitMQ send one message at a time.
    """
    with queue.consumer() as busy, queue.consumer() as idle:
        queue.send("first")
        queue.send("second")
        taken = [take(busy, queue), take(idle, queue)]

    assert {"first", "second"} == {message.job_id for message in taken if message}


def test_swarm_is_sent_in_advance_and_given_back(queue: Queue) -> None:
    """
    In a swarm messages wait at a worker, until a job takes longer: then others get them.
    """
    with queue.consumer() as busy:
        make_swarm(busy, queue)
        for number in range(10):
            queue.send(f"late{number}")
        first = take(busy, queue)
        assert first is not None
        wait_until(lambda: queue.waiting() == 0)
        with queue.consumer() as idle:
            assert take(idle, queue, 0.3) is None

            busy.attend()

            others = []
            for _ in range(9):
                message = take(idle, queue)
                assert message is not None
                others.append(message.job_id)
                idle.drop(message)
            busy.drop(first)
            # It is a worker like any other again.
            queue.send("last")
            queue.send("very last")
            assert take(busy, queue) is not None
            assert take(idle, queue) is not None

    assert {f"late{number}" for number in range(10)} == {first.job_id, *others}


@pytest.mark.parametrize("attended", [True, False])
def test_connection_outlives_a_long_job(
    rabbitmq: RabbitProcess, redis_server: RedisProcess, attended: bool
) -> None:
    """
    A worker shows signs of life while a job runs; without them RabbitMQ sends the message to another.
    """
    queue = Queue(rabbitmq, redis_server, "&heartbeat=1")
    with queue.consumer() as busy, queue.consumer() as idle:
        queue.send("long")
        assert take(busy, queue) is not None
        ends = time.monotonic() + 6.0
        others: list[Message] = []
        while time.monotonic() < ends and not others:
            if attended:
                busy.attend()
            message = idle.take(queue.worker, 0.2)
            others.extend([] if message is None else [message])

    assert ([] if attended else ["long"]) == [message.job_id for message in others]
    queue.transport.close()
    queue.store.close()


def test_every_message_of_a_swarm_is_acknowledged(queue: Queue) -> None:
    """
    Acknowledgements are gathered, and none is left out as the worker stops.
    """
    with queue.consumer() as consumer:
        make_swarm(consumer, queue)
        for number in range(5):
            queue.send(f"late{number}")
        for _ in range(3):
            message = take(consumer, queue)
            assert message is not None
            consumer.drop(message)

    wait_until(lambda: queue.waiting() == 2)


def test_next_job_of_a_swarm_is_claimed_with_the_outcome(queue: Queue) -> None:
    """
    The job of a message that waits is claimed as the outcome of the one before is written.
    """
    with queue.consumer() as consumer:
        make_swarm(consumer, queue)
        jobs = [submit(queue), submit(queue)]
        message = take(consumer, queue)
        assert message is not None
        record = claim(queue, message)
        wait_until(lambda: queue.waiting() == 0)
        consumer.drop(message)
        wait_until(lambda: came_ahead(consumer, queue))
        lifecycle.complete(queue.store, record, value_json="1")
        message = take(consumer, queue)
        assert message is not None
        assert message.claimed is not None
        assert (jobs[1], JobStatus.running) == (message.claimed.id, message.claimed.status)


def came_ahead(consumer: Any, queue: Queue) -> bool:
    """
    Whether a claim of the next job goes with the next command.
    """
    # It may not be here yet, and is read where a worker reads it.
    consumer._link.turn()
    consumer.ahead(queue.worker)
    return consumer._next is not None


def submit(queue: Queue) -> str:
    """
    A real job, with its message.
    """
    job = NewJob(pipeline="echo", backend="dramatiq")
    queue.store.create(job)
    queue.send(job.id)
    return job.id


def claim(queue: Queue, message: Message) -> JobRecord:
    """
    Claim the job of a message.
    """
    record = lifecycle.claim(queue.store, message.job_id, worker="worker-1", lease=15.0)
    assert record is not None
    return record
