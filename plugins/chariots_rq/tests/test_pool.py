"""
`RQWorkerPool`: its options, its queues, and one step for record and message.
"""

from __future__ import annotations

import json
import multiprocessing
import zlib
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from chariots_core.errors import (
    BackendMisconfigured,
    BrokerUnavailable,
    IdempotencyMismatch,
    UnsupportedCapability,
)
from chariots_core.jobs import JobQuery, JobStatus, NewJob
from chariots_core.jobs_redis import RedisJobStore
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.workers import SubmitRequest
from chariots_core.workers.hookspecs import hookimpl
from chariots_core.workers.plugins import PluginManager
from chariots_rq import RQWorkerPool
from tests.redis_servers import RedisProcess
from tests.support import free_port

# The fixtures' own types, by the one name that importlib mode gives them.
MakeApp = Any


def queue_of(app: Any, name: str = "default") -> Queue:
    """
    An app's queue, as RQ's own tools read it.
    """
    pool = app.pool
    full = pool.transport.queue(app.name, name).key.removeprefix(Queue.redis_queue_namespace_prefix)
    return Queue(full, connection=pool.client, serializer=JSONSerializer)


# -- options


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"url": "http://hunter2"}, ["url"]),
        ({"url": 7}, ["url"]),
        ({"redis": "hunter2"}, ["redis"]),
        ({"redis_kwargs": "hunter2"}, ["redis_kwargs"]),
        ({"redis_kwargs": {"pasword": "hunter2"}}, ["redis_kwargs"]),
        ({"url": "redis://:hunter2@h/0", "redis_kwargs": {"prot": "hunter2"}}, ["options"]),
        ({"url": "redis://h:hunter2/0"}, ["url"]),
        ({"queue_kwargs": {"is_async": False}}, ["queue_kwargs"]),
        ({"queue_kwargs": {"serializer": "pickle"}}, ["queue_kwargs"]),
        ({"result_ttl": -1, "resend_after": "soon"}, ["result_ttl", "resend_after"]),
        ({"redis": Redis(), "url": "redis://:hunter2@h/0"}, ["redis", "url"]),
        ({"queue": "x"}, ["queue"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_bad_options(options: dict[str, Any], keys: list[str]) -> None:
    """
    (4) Every bad option is named, and no value is shown.
    """
    with pytest.raises(BackendMisconfigured) as caught:
        PluginManager(disabled="*").create_worker_pool({"backend": "rq", **options})

    assert [] == [key for key in keys if key not in str(caught.value)]
    assert "hunter2" not in str(caught.value)


def test_pool_shows_no_password() -> None:
    """
    (64) Neither the pool nor its store shows a password.
    """
    pool = RQWorkerPool(redis=Redis(password="hunter2"), redis_kwargs=None)
    store = pool.create_job_store("a")

    assert "hunter2" not in repr(pool) + repr(pool.options) + repr(store)


@pytest.mark.parametrize("decoding", [False, True])
def test_clients_are_taken_as_they_are(redis_server: RedisProcess, decoding: bool) -> None:
    """
    A client of the app's own may decode what it reads; the pool's connections do not.
    """
    client = Redis(port=redis_server.port, decode_responses=decoding)
    pool = RQWorkerPool(client)
    store = pool.create_job_store("clients")
    record = store.create(NewJob(pipeline="p", backend="rq")).record

    assert record == store.get(record.id)
    store.close()


def test_making_a_pool_connects_to_nothing() -> None:
    """
    (3, 6) A pool for a server that is not there is made, and says so when used.
    """
    pool = RQWorkerPool(url=f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(BrokerUnavailable, match="start Redis there"):
        pool.submit(SubmitRequest(job_id="j", app="a", pipeline="p", backend="rq"))
    pool.close()


def test_jobs_may_be_kept_elsewhere(
    make_app: MakeApp, redis_server: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The jobs are kept in the queue's Redis, unless an option or the environment
    names another place.
    """
    options = {"backend": "rq", "url": redis_server.url}
    own = make_app(options)
    option = make_app({**options, "job_store": f"sqlite:///{tmp_path}/a.db"})
    monkeypatch.setenv("CHARIOTS_JOB_STORE", f"sqlite:///{tmp_path}/b.db")
    environment = make_app(options)

    assert [RedisJobStore, SqlJobStore, SqlJobStore] == [
        type(app.job_store) for app in (own, option, environment)
    ]
    record = option.submit("is_odd", 3).record
    assert [f"{record.id}-1"] == queue_of(option).job_ids


# -- messages


def test_message_is_a_job_id(make_app: MakeApp) -> None:
    """
    (28, 64) What is in the queue is a call of one function with the job's id, in
    JSON, and nothing of the job's input.
    """
    app = make_app()
    record = app.submit("is_odd", 12345).record
    (job,) = queue_of(app).jobs

    assert ("chariots_rq.entry.run", (record.id,)) == (job.func_name, tuple(job.args))
    assert ("is_odd", -1) == (job.description, job.timeout)
    fields = app.pool.client.hgetall(f"rq:job:{record.id}-1")
    assert json.loads(zlib.decompress(fields[b"data"])) == [
        "chariots_rq.entry.run", None, [record.id], {},
    ]  # fmt: skip
    assert b"12345" not in b"".join(fields.values())
    assert 0 < app.pool.client.ttl(f"rq:job:{record.id}-1")


def test_queues_of_an_app(make_app: MakeApp, redis_server: RedisProcess) -> None:
    """
    (70) A queue's name in Redis tells of the app and the queue; the first part is the user's.
    """
    app = make_app(
        {
            "backend": "rq",
            "url": redis_server.url,
            "queue_kwargs": {"name": "mine", "default_timeout": 90},
        },
        name="my.app",
    )
    app.submit("is_odd", 1, queue="fast lane")

    name = "mine:my.app:fast%20lane"
    assert name == queue_of(app, "fast lane").name
    assert f"rq:queue:{name}".encode() in app.pool.client.smembers("rq:queues")
    assert 90 == queue_of(app, "fast lane").jobs[0].timeout


def test_record_and_message_in_one_step(make_app: MakeApp) -> None:
    """
    A submission is one command to Redis, and leaves both the record and the message.
    """
    app = make_app()
    app.submit("is_odd", 1)
    before = app.pool.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    record = app.submit("is_odd", 3).record

    after = app.pool.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert 1 == after - before
    assert f"{record.id}-1" in queue_of(app).job_ids
    assert JobStatus.queued is app.fetch_job(record.id).status


def test_request_that_is_repeated_or_refused_sends_nothing(make_app: MakeApp) -> None:
    """
    (16) One message for one job, however often it is asked for under its key.
    """
    app = make_app()
    for _ in range(3):
        app.submit("is_odd", 3, key="k")
    with pytest.raises(IdempotencyMismatch):
        app.submit("is_odd", 4, key="k")

    assert 1 == len(queue_of(app).job_ids)


def test_plugin_that_watches_sees_each_hand_over(make_app: MakeApp) -> None:
    """
    Where a plugin wraps the hand-over it is asked for every job, after the record.
    """
    app = make_app()
    seen: list[tuple[str, JobStatus]] = []

    class Watch:
        """
        Writes down what is handed over.
        """

        @hookimpl(wrapper=True)
        def chariots_execute_pipeline(self, pool: Any, request: SubmitRequest) -> Any:
            seen.append((request.job_id, pool.job_store().get(request.job_id).status))
            return (yield)

    app.plugins.register(Watch(), name="watch")
    record = app.submit("is_odd", 3).record

    assert [(record.id, JobStatus.queued)] == seen
    assert [f"{record.id}-1"] == queue_of(app).job_ids


def test_job_whose_message_waits_is_not_sent_twice(make_app: MakeApp) -> None:
    """
    (41) A job is handed over once more only if its message is gone.
    """
    app = make_app()
    request = SubmitRequest.of(app.submit("is_odd", 3).record)
    for generation in (2, 3, 4):
        app.pool.submit(_again(request, generation))
    waiting = queue_of(app).job_ids
    app.pool.client.delete(queue_of(app).key)
    app.pool.submit(_again(request, 5))

    assert ([f"{request.job_id}-1"], [f"{request.job_id}-5"]) == (waiting, queue_of(app).job_ids)


def _again(request: SubmitRequest, generation: int) -> SubmitRequest:
    return SubmitRequest(
        job_id=request.job_id,
        app=request.app,
        pipeline=request.pipeline,
        backend=request.backend,
        generation=generation,
    )


def test_delayed_job_is_not_sent(make_app: MakeApp) -> None:
    """
    A job whose time has not come has no message.
    """
    app = make_app()
    app.submit("is_odd", 3, delay=60.0)

    assert [] == queue_of(app).job_ids


def test_priorities_are_refused(make_app: MakeApp) -> None:
    """
    (8) What RQ cannot do is refused before anything reaches the queue.
    """
    app = make_app()
    with pytest.raises(UnsupportedCapability, match="priorities"):
        app.submit("is_odd", 3, priority=1)

    assert ([], []) == (queue_of(app).job_ids, list(app.job_store.list_jobs(JobQuery())))


def test_pool_made_before_a_fork(make_app: MakeApp) -> None:
    """
    (7) An app that was used and then forked submits from four children at once.
    """
    app = make_app()
    app.submit("is_odd", 0)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_submit, args=(app,)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(30.0)

    assert [0] * 4 == [child.exitcode for child in children]
    assert 41 == len(queue_of(app).job_ids)


def _submit(app: Any) -> None:
    for number in range(10):
        app.submit("is_odd", number)
