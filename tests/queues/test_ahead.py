"""
The next job is claimed together with the outcome of the one before, and is not lost by that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from chariots_core import patience
from chariots_core.errors import StoreUnavailable
from chariots_core.jobs import lifecycle
from chariots_core.jobs.record import JobRecord, NewJob
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs_redis import RedisJobStore
from chariots_core.jobs_redis.server import RedisServer
from chariots_core.queues import Message
from chariots_core.queues.redis_consumer import RedisConsumer
from tests.queues.support import Worker
from tests.redis_servers import RedisProcess

QUEUES = {"first": ("DEL", "message:"), "second": ("DEL", "message:")}


@pytest.fixture(name="redis")
def _redis(redis_server: RedisProcess) -> Iterator[RedisProcess]:
    yield redis_server
    with redis_server.client() as client:
        client.flushall()


@pytest.fixture(name="client")
def _client(redis: RedisProcess) -> Iterator[Redis]:
    with redis.client() as client:
        yield client


@pytest.fixture(name="server")
def _server(redis: RedisProcess) -> Iterator[RedisServer]:
    server = RedisServer.at(redis.url)
    yield server
    server.close()


@pytest.fixture(name="store")
def _store(server: RedisServer) -> RedisJobStore:
    return RedisJobStore(server, app="ahead")


@pytest.fixture(name="worker")
def _worker(store: RedisJobStore) -> Any:
    return Worker(store)


def submit(store: RedisJobStore, queue: str = "first") -> str:
    """
    A job whose message waits.
    """
    job = NewJob(pipeline="echo", backend="made-up", queue=queue)
    message = f"{job.id}-1"
    store.create(job, commands=[["SET", f"message:{message}", "x"], ["RPUSH", queue, message]])
    return job.id


def begin(consumer: RedisConsumer, worker: Any) -> JobRecord:
    """
    Take the first message, and claim its job, as a worker does that was idle.
    """
    message = consumer.take(worker, 10.0)
    assert message is not None
    assert message.claimed is None
    record = lifecycle.claim(worker.job_store, message.job_id, worker="worker-1", lease=15.0)
    assert record is not None
    consumer.drop(message)
    return record


def commands(client: Redis) -> int:
    """
    How many commands the server has processed, this question left out.
    """
    processed = client.info("stats")["total_commands_processed"]
    client.config_resetstat()
    return int(processed)


def test_next_job_comes_with_the_outcome(
    server: RedisServer, store: RedisJobStore, client: Redis, worker: Any
) -> None:
    """
    While there is work, the outcome of a job and the claim of the next one are one question.
    """
    jobs = [submit(store), submit(store, "second")]
    with RedisConsumer(server, QUEUES) as consumer:
        first = begin(consumer, worker)
        consumer.ahead(worker)
        lifecycle.complete(store, first, value_json="1")
        client.config_resetstat()
        message = consumer.take(worker, 10.0)
        # What was counted is the forgetting of earlier counts.
        asked = commands(client) - 1

        assert message is not None
        assert message.claimed is not None
        assert (jobs[1], JobStatus.running, "worker-1", 1) == (
            message.claimed.id,
            message.claimed.status,
            message.claimed.worker,
            message.claimed.attempt,
        )
        assert store.get(jobs[1]) == message.claimed
        assert (0, JobStatus.done) == (asked, store.get(jobs[0]).status)
        assert 0 == client.exists("first", "second", f"message:{jobs[1]}-1")
        states = [event.status for event in store.events(jobs[1])]
        assert [JobStatus.queued, JobStatus.running] == states
    assert [] == worker.released


def test_messages_of_no_job_are_passed_over(
    server: RedisServer, store: RedisJobStore, client: Redis, worker: Any
) -> None:
    """
    A duplicate, and what is no message of ours, does not hide the job behind it.
    """
    done = submit(store)
    client.rpush("first", f"{done}-2", "nonsense", "-", b"\xff-1")
    last = submit(store)
    with RedisConsumer(server, QUEUES) as consumer:
        first = begin(consumer, worker)
        consumer.ahead(worker)
        lifecycle.complete(store, first, value_json="1")
        message = consumer.take(worker, 10.0)

    assert message is not None
    assert message.claimed is not None
    assert (last, 0) == (message.claimed.id, client.llen("first"))


def test_without_a_next_job_it_waits_as_ever(
    server: RedisServer, store: RedisJobStore, worker: Any
) -> None:
    """
    Where no message waits, nothing is claimed, and the next one is heard of as it comes.
    """
    submit(store)
    with RedisConsumer(server, QUEUES) as consumer:
        first = begin(consumer, worker)
        consumer.ahead(worker)
        lifecycle.complete(store, first, value_json="1")
        assert consumer.take(worker, 0.05) is None
        job_id = submit(store)
        assert Message(f"{job_id}-1", "first") == consumer.take(worker, 10.0)
    assert not worker.is_in_doubt


def test_script_that_the_server_forgot(
    server: RedisServer, store: RedisJobStore, client: Redis, worker: Any
) -> None:
    """
    A server whose scripts were flushed writes the outcome, and the next message is taken all the same.
    """
    jobs = [submit(store), submit(store)]
    with RedisConsumer(server, QUEUES) as consumer:
        first = begin(consumer, worker)
        client.script_flush()
        consumer.ahead(worker)
        lifecycle.complete(store, first, value_json="1")
        assert Message(f"{jobs[1]}-1", "first") == consumer.take(worker, 10.0)

    assert JobStatus.done is store.get(jobs[0]).status
    assert not worker.is_in_doubt


def test_claimed_and_not_taken_goes_back(
    server: RedisServer, store: RedisJobStore, worker: Any
) -> None:
    """
    (47) A job that was claimed ahead of a stop is handed back, and the attempt does not count.
    """
    jobs = [submit(store), submit(store)]
    with RedisConsumer(server, QUEUES) as consumer:
        first = begin(consumer, worker)
        consumer.ahead(worker)
        lifecycle.complete(store, first, value_json="1")

    record = store.get(jobs[1])
    assert [jobs[1]] == worker.released
    assert (JobStatus.queued, 0) == (record.status, record.attempt)


def test_outcome_that_was_never_sent_claims_nothing(
    server: RedisServer, store: RedisJobStore, worker: Any
) -> None:
    """
    A claim that had nothing to go with is withdrawn.
    """
    jobs = [submit(store), submit(store)]
    with RedisConsumer(server, QUEUES) as consumer:
        begin(consumer, worker)
        consumer.ahead(worker)
        assert Message(f"{jobs[1]}-1", "first") == consumer.take(worker, 10.0)
        assert JobStatus.queued is store.get(jobs[1]).status
    assert not worker.is_in_doubt


def test_claim_whose_answer_is_lost_is_doubted(
    redis: RedisProcess, server: RedisServer, store: RedisJobStore, worker: Any
) -> None:
    """
    A server that freezes may claim a job and tell nobody: the worker is told to look.
    """
    jobs = [submit(store), submit(store)]
    with RedisConsumer(server, QUEUES) as consumer:
        first = begin(consumer, worker)
        consumer.ahead(worker)
        redis.freeze()
        try:
            with patience.bounded(seconds=0.2), pytest.raises(StoreUnavailable):
                lifecycle.complete(store, first, value_json="1")
        finally:
            redis.thaw()
        assert consumer.take(worker, 0.05) is None

    assert worker.is_in_doubt
    assert [JobStatus.done, JobStatus.running] == [store.get(job).status for job in jobs]


def test_one_message_is_claimed_ahead(
    server: RedisServer, store: RedisJobStore, worker: Any
) -> None:
    """
    A store that claims along returns what a claim returns, and nothing for a job that cannot be claimed.
    """
    del server
    job_id = submit(store)
    other = submit(store)
    assert store.claim_along("no id!", worker="worker-1", lease=5.0) is None

    found = []
    for _ in range(2):
        pending = store.claim_along(job_id, worker="worker-1", lease=5.0)
        assert pending is not None
        store.get(other)
        found.append(pending.settle())

    assert [store.get(job_id), None] == found
    assert not worker.is_in_doubt


@pytest.mark.parametrize("job_id", ["a", "b" * 64, "with_some-9"])
def test_claim_that_goes_along_names_its_job(store: RedisJobStore, job_id: str) -> None:
    """
    Whatever the id: the job that is meant is claimed, and no other one.
    """
    new = [NewJob(id=name, pipeline="echo", backend="made-up") for name in ("x", job_id, "yy")]
    for job in new:
        store.create(job)
    for name in ("x", job_id):
        claim = store.claim_along(name, worker="worker-1", lease=15.0)
        assert claim is not None
        store.now()
        claimed = claim.settle()
        assert claimed is not None
        assert (name, "worker-1", 1) == (claimed.id, claimed.worker, claimed.attempt)

    assert JobStatus.queued is store.get("yy").status
