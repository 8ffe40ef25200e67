"""
`RedisJobStore` when its server is away, frozen, full, or set up to lose things.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from chariots_core import patience
from chariots_core.errors import ConfigurationError, JobNotFound, StoreUnavailable
from chariots_core.jobs import JobError, JobQuery, JobStatus, NewJob
from chariots_core.jobs.lifecycle import claim, complete, fail, not_submitted
from chariots_core.jobs_redis import RedisJobStore
from chariots_core.jobs_redis.server import Unsent
from tests.conftest import missing_service
from tests.redis_servers import RedisProcess, redis_program

JOB = NewJob(pipeline="p", backend="b", input_json="[1]")


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[RedisProcess]:
    """
    A server of the test's own, with a log of its changes.
    """
    if redis_program() is None:
        missing_service("a redis-server")
    server = RedisProcess(tmp_path, ("--appendonly", "yes", "--appendfsync", "always"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(name="store")
def _store(server: RedisProcess) -> Iterator[RedisJobStore]:
    store = RedisJobStore(f"{server.url}?socket_timeout=0.5", app="a")
    yield store
    store.close()


def test_handle_does_nothing() -> None:
    """
    Making a handle connects to nothing, and its repr has no password.
    """
    store = RedisJobStore("redis://me:hunter2@127.0.0.1:1/3", app="a")

    assert "RedisJobStore('redis://me@127.0.0.1:1/3', app='a')" == repr(store)
    store.close()


@pytest.mark.parametrize("url", ["http://x", "redis:/hunter2", "redis://h:hunter2/0", "x"])
def test_address_that_cannot_work(url: str) -> None:
    """
    An address that is none is an error that shows the forms, and not the address.
    """
    with pytest.raises(ConfigurationError, match="redis://host:port/db") as caught:
        RedisJobStore(url, app="a")
    assert "hunter2" not in str(caught.value)


def test_server_that_is_killed(server: RedisProcess, store: RedisJobStore) -> None:
    """
    (42) While the server is down the error names it; afterwards all is there.
    """
    record = store.create(JOB).record
    server.kill()
    with pytest.raises(Unsent, match=rf"127.0.0.1:{server.port}/0.*start Redis there"):
        store.get(record.id)
    server.start()

    assert record == store.get(record.id)


def test_server_that_answers_nothing(server: RedisProcess, store: RedisJobStore) -> None:
    """
    A frozen server is waited for as long as the address says; what was sent to
    it is not sent again.
    """
    store.create(JOB)
    server.freeze()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="not paused") as caught:
        claim(store, JOB.id, worker="w", lease=60.0)
    waited = time.monotonic() - began
    server.thaw()

    assert not isinstance(caught.value, Unsent)
    assert 0.4 < waited < 5.0
    claimed = store.get(JOB.id)
    assert (JobStatus.running, 1, 1) == (claimed.status, claimed.attempt, claimed.token)
    assert JobStatus.done is complete(store, claimed, value_json="1").status


def test_server_is_given_up_for_what_is_urgent(server: RedisProcess, store: RedisJobStore) -> None:
    """
    A frozen server holds nobody up who has something more urgent to do.
    """
    patient = RedisJobStore(f"{server.url}?socket_timeout=30", app="a")
    store.create(JOB)
    patient.get(JOB.id)
    server.freeze()
    began = time.monotonic()
    with patience.bounded(seconds=0.2), pytest.raises(StoreUnavailable):
        patient.get(JOB.id)
    waited = time.monotonic() - began
    server.thaw()

    assert waited < 5.0
    with patience.bounded(seconds=20.0):
        assert JOB.id == patient.get(JOB.id).id
    patient.close()


def test_scripts_that_are_flushed(server: RedisProcess, store: RedisJobStore) -> None:
    """
    A server that has forgotten the script gets it again.
    """
    store.create(JOB)
    with server.client() as client:
        client.script_flush()

    assert [JOB.id] == [record.id for record in store.list_jobs(JobQuery())]


def test_server_that_is_full(server: RedisProcess, store: RedisJobStore) -> None:
    """
    A full server refuses a job as a whole, says what to do, and still answers.
    """
    record = store.create(JOB).record
    with server.client() as client:
        client.config_set("maxmemory", "1")
        before = client.dbsize()
        with pytest.raises(Unsent, match="raise maxmemory"):
            store.create(NewJob(pipeline="p", backend="b"))
        assert before == client.dbsize()
        client.config_set("maxmemory", "0")

    assert [record.id] == [found.id for found in store.list_jobs(JobQuery())]


def test_password(server: RedisProcess) -> None:
    """
    (64) A wrong password is named as such, and not shown.
    """
    with server.client() as client:
        client.config_set("requirepass", "right")
    wrong = RedisJobStore(f"redis://:hunter2@127.0.0.1:{server.port}/0", app="a")
    none = RedisJobStore(server.url, app="a")
    right = RedisJobStore(f"redis://:right@127.0.0.1:{server.port}/0", app="a")

    with pytest.raises(StoreUnavailable, match="check the user and the password") as caught:
        wrong.ping()
    assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreUnavailable, match="wants a password"):
        none.ping()
    right.ping()
    for store in (wrong, none, right):
        store.close()


def test_settings_that_lose_jobs(server: RedisProcess, store: RedisJobStore) -> None:
    """
    The store tells of settings that could lose jobs, with the remedies, and of
    nothing where there are none.
    """
    assert [] == list(store.risks())
    with server.client() as client:
        client.config_set("appendonly", "no")
        client.config_set("maxmemory-policy", "allkeys-lru")

    risks = store.risks()
    assert ["appendonly yes", "maxmemory-policy noeviction"] == [
        risk.rpartition("set '")[2].rstrip("'") for risk in risks
    ]
    assert all(f"127.0.0.1:{server.port}" in risk for risk in risks)


def test_memory_of_a_job(server: RedisProcess, store: RedisJobStore) -> None:
    """
    A finished job takes about two kilobytes beside its input and result, and
    nothing once it is forgotten.
    """
    with server.client() as client:

        def used() -> int:
            return int(client.info("memory")["used_memory"])

        store.create(JOB)
        before = used()
        for n in range(500):
            job = NewJob(pipeline="p", backend="b", input_json=f"[{n}]", result_ttl=0.0)
            record = claim(store, store.create(job).record.id, worker="host-1-abcdef", lease=9.0)
            assert record is not None
            complete(store, record, value_json="true", versions={"node": "v" * 130})
        each = (used() - before) / 500
        assert 500 == store.expire()

        assert 500 < each < 2500
        # Those of the job that waits, and those of all jobs.
        assert 6 == client.dbsize()


def test_list_of_many(store: RedisJobStore) -> None:
    """
    A list finds the few jobs that it asks for among many, in steps.
    """
    wanted = []
    for n in range(450):
        backend = "rare" if n % 200 == 0 else "b"
        record = store.create(NewJob(pipeline=f"p{n % 3}", backend=backend)).record
        if backend == "rare":
            wanted.append(record.id)

    assert wanted[::-1] == [record.id for record in store.list_jobs(JobQuery(backend="rare"))]
    assert 150 == len(store.list_jobs(JobQuery(pipeline="p1", limit=1000)))
    assert 450 == len(store.list_jobs(JobQuery(status=JobStatus.queued, limit=1000)))
    assert [] == list(store.list_jobs(JobQuery(pipeline="p1", status=JobStatus.done)))


@pytest.mark.parametrize("length", [1, 512, 513, 100_000])
def test_texts_of_any_length(store: RedisJobStore, length: int) -> None:
    """
    Texts are the same whether they are kept with the rest of their job or apart from it.
    """
    value = "ä/😀\x7f\\" * (length // 5) + "x" * (length % 5)
    job = NewJob(pipeline="p", backend="b", input_json=json.dumps(value, ensure_ascii=False))
    store.create(job)
    claimed = claim(store, job.id, worker="w", lease=60.0)
    assert claimed is not None
    assert value == claimed.input
    done = complete(store, claimed, value_json=json.dumps(value), versions={"node": value})

    read = store.get(job.id)
    assert (value, value, {"node": value}) == (read.input, read.value, read.versions)
    assert done == read
    (listed,) = store.list_jobs(JobQuery())
    assert (None, None, {"node": value}) == (listed.input, listed.value, listed.versions)


@pytest.mark.parametrize("lengths", [(9, 2000), (2000, 9), (2000, 2000)])
def test_text_that_changes_its_length(store: RedisJobStore, lengths: tuple[int, int]) -> None:
    """
    A later text takes the place of an earlier one, wherever either is kept, and
    one that goes is gone.
    """
    job = NewJob(pipeline="p", backend="b", max_attempts=3)
    store.create(job)
    for length in lengths:
        claimed = claim(store, job.id, worker="w", lease=60.0)
        assert claimed is not None
        error = JobError(type="E", message="m" * length)
        failed = fail(store, claimed, reason="error", error=error, retryable=True)
        assert error == failed.error == store.get(job.id).error
    claimed = claim(store, job.id, worker="w", lease=60.0)
    assert claimed is not None

    assert complete(store, claimed, value_json="1").error is None
    assert store.get(job.id).error is None


def test_numbers_of_events_go_on(store: RedisJobStore) -> None:
    """
    Whoever has heard the events of a job that was never handed over hears those of
    the one that replaces it.
    """
    record = store.create(JOB).record
    not_submitted(store, record)
    heard = [event.seq for event in store.events(JOB.id)]
    store.create(JOB)

    assert 2 == len(heard)
    assert [JobStatus.queued] == [event.status for event in store.events(JOB.id, after=heard[-1])]


def test_jobs_that_the_server_has_evicted(server: RedisProcess, store: RedisJobStore) -> None:
    """
    A job that Redis has removed by itself is unknown, and stands in no other's way.
    """
    lost = [store.create(NewJob(pipeline="p", backend="b")).record.id for _ in range(5)]
    kept = store.create(NewJob(pipeline="p", backend="b")).record.id
    done = claim(store, lost[0], worker="w", lease=0.0)
    assert done is not None
    complete(store, done, value_json="1", versions={})
    claim(store, lost[1], worker="w", lease=0.0)
    with server.client() as redis:
        redis.delete(*(f"chariots:{{a}}:job:{job_id}" for job_id in lost))

    for query in (JobQuery(), JobQuery(pipeline="p"), JobQuery(status=JobStatus.queued)):
        assert [kept] == [record.id for record in store.list_jobs(query)]
    assert [] == store.due()
    assert {JobStatus.queued: 1, JobStatus.running: 0, JobStatus.deferred: 0} == store.counts()
    assert None is claim(store, lost[2], worker="w", lease=9.0)
    with server.client() as redis:
        assert not any(job_id in names(redis) for job_id in lost)


def test_page_of_jobs_that_were_evicted(server: RedisProcess, store: RedisJobStore) -> None:
    """
    So many of them that a step meets nothing else do not end the list.
    """
    kept = store.create(NewJob(pipeline="p", backend="b")).record.id
    lost = [store.create(NewJob(pipeline="p", backend="b")).record.id for _ in range(250)]
    with server.client() as redis:
        redis.delete(*(f"chariots:{{a}}:job:{job_id}" for job_id in lost))

    assert [kept] == [record.id for record in store.list_jobs(JobQuery())]


def test_job_whose_input_was_evicted(server: RedisProcess, store: RedisJobStore) -> None:
    """
    A job of which a part is gone is not run on the rest: it is unknown as a whole.
    """
    long = NewJob(pipeline="p", backend="b", input_json=json.dumps("x" * 1000))
    job_id = store.create(long).record.id
    with server.client() as redis:
        redis.delete(f"chariots:{{a}}:text:{job_id}")

    assert None is claim(store, job_id, worker="w", lease=9.0)
    with pytest.raises(JobNotFound):
        store.get(job_id)
    with server.client() as redis:
        assert job_id not in names(redis)


def names(redis: Redis) -> set[str]:
    """
    All that the sorted sets of the app name.
    """
    found = redis.scan_iter("chariots:{a}:*", _type="zset")
    members: list[bytes] = [name for key in found for name in redis.zrange(key, 0, -1)]  # type: ignore[misc]
    return {name.decode() for name in members}
