"""
`DramatiqWorkerPool`: its options, its queues, and one step for record and message.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import attrs
import dramatiq
import pytest
from dramatiq import PickleEncoder
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

from chariots_core.errors import (
    BackendMisconfigured,
    BrokerUnavailable,
    UnsupportedCapability,
)
from chariots_core.jobs import JobQuery, JobStatus
from chariots_core.jobs_redis import RedisJobStore
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.workers import SubmitRequest
from chariots_core.workers.plugins import PluginManager
from chariots_core.workers.process import EXIT_UNFINISHED
from chariots_dramatiq import DramatiqWorkerPool
from chariots_dramatiq.messages import name_of, queue_name
from tests.rabbitmq_servers import RabbitProcess
from tests.redis_servers import RedisProcess
from tests.support import free_port, wait_until

# The fixtures' own types, by the one name that importlib mode gives them.
MakeApp = Any

# It carries no types.
_REDIS: Any = RedisBroker


def waiting(app: Any, name: str = "default") -> list[dict[str, Any]]:
    """
    The messages in an app's queue, as Dramatiq itself reads them; they go back.
    """
    broker = app.pool.options.make_broker("dramatiq")
    consumer = broker.consume(queue_name(app.name, name), prefetch=100, timeout=200)
    found = []
    while (proxy := next(consumer)) is not None:
        found.append(proxy)
    facts = [json.loads(proxy.encode()) for proxy in found]
    consumer.requeue(found)
    consumer.close()
    broker.close()
    return facts


# -- options


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"url": "http://hunter2"}, ["url"]),
        ({"url": 7}, ["url"]),
        ({"broker": "hunter2"}, ["broker"]),
        ({"broker": StubBroker(middleware=[])}, ["broker"]),
        ({"broker_kwargs": "hunter2"}, ["broker_kwargs"]),
        ({"broker_kwargs": {"pasword": "hunter2"}, "url": "redis://h"}, ["broker_kwargs"]),
        ({"broker_kwargs": {"pasword": "hunter2"}, "url": "amqp://h"}, ["broker_kwargs"]),
        ({"broker_kwargs": {"max_priority": 999}, "url": "amqp://h"}, ["broker_kwargs"]),
        ({"url": "redis://h:hunter2/0"}, ["url"]),
        ({"url": "amqp://guest:guest@h:hunter2/0"}, ["url"]),
        ({"resend_after": "soon", "job_store": "hunter2"}, ["resend_after", "job_store"]),
        ({"broker": _REDIS(middleware=[]), "url": "redis://:hunter2@h/0"}, ["broker", "url"]),
        ({"queue": "x"}, ["queue"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_bad_options(options: dict[str, Any], keys: list[str]) -> None:
    """
    (4) Every bad option is named, and no value is shown.
    """
    with pytest.raises(BackendMisconfigured) as caught:
        PluginManager(disabled="*").create_worker_pool({"backend": "dramatiq", **options})

    assert [] == [key for key in keys if key not in str(caught.value)]
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_pool_shows_no_password(scheme: str) -> None:
    """
    (64) Neither the pool nor what it says of a broker that is away shows a password.
    """
    url = f"{scheme}://user:hunter2@127.0.0.1:{free_port()}/0"
    pool = DramatiqWorkerPool(url=url, job_store="sqlite:////nowhere/jobs.db")
    with pytest.raises(BrokerUnavailable, match="start") as caught:
        pool.submit(SubmitRequest(job_id="j", app="a", pipeline="p", backend="dramatiq"))
    pool.close()

    assert "hunter2" not in f"{pool!r}{pool.options!r}{caught.value!r}{caught.value.__cause__!r}"


@pytest.mark.parametrize("kind", [RedisBroker, RabbitmqBroker])
def test_broker_of_the_apps_own(kind: Any, redis_server: RedisProcess, rabbitmq: Any) -> None:
    """
    A broker that an app has made goes where its own messages go, middleware and all.
    """
    in_redis = kind is RedisBroker
    broker = kind(url=redis_server.url if in_redis else rabbitmq.url)
    pool = DramatiqWorkerPool(broker, job_store="sqlite:////nowhere/jobs.db")
    request = SubmitRequest(job_id=kind.__name__, app="own", pipeline="p", backend="dramatiq")
    pool.submit(request)
    consumer = broker.consume(queue_name("own", "default"), timeout=5000)
    message = next(consumer)

    assert (message.actor_name, message.args) == ("chariots_run", (kind.__name__,))
    consumer.ack(message)
    consumer.close()
    pool.close()
    broker.close()


def test_jobs_are_kept_where_they_can_be(
    make_app: MakeApp, redis_server: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    On Redis the jobs are kept beside the messages, unless somebody says
    otherwise; RabbitMQ keeps none.
    """
    options = {"backend": "dramatiq", "url": redis_server.url}
    monkeypatch.chdir(tmp_path)
    own = make_app(options)
    option = make_app({**options, "job_store": f"sqlite:///{tmp_path}/a.db"})
    rabbit = make_app({"backend": "dramatiq", "url": "amqp://localhost"})

    assert [RedisJobStore, SqlJobStore, SqlJobStore] == [
        type(app.job_store) for app in (own, option, rabbit)
    ]


# -- messages


def test_message_is_a_job_id(make_app: MakeApp, broker_options: dict[str, Any]) -> None:
    """
    (28, 64) What is in the queue is a message to one actor with the job's id, in
    JSON, and nothing of the job's input.
    """
    app = make_app(broker_options)
    record = app.submit("is_odd", 12345).record
    (message,) = waiting(app)

    assert ("chariots_run", [record.id], {}) == (
        message["actor_name"],
        message["args"],
        message["kwargs"],
    )
    assert f"{record.id}-1" == message["message_id"]
    assert "12345" not in json.dumps({**message, "message_timestamp": 0})


def test_message_is_json_whatever_the_app_uses(
    make_app: MakeApp, redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    (28) An app that pickles its own messages of Dramatiq pickles none of ours.
    """
    monkeypatch.setattr(dramatiq.message, "global_encoder", PickleEncoder())
    app = make_app({"backend": "dramatiq", "url": redis_server.url})
    record = app.submit("is_odd", 3).record
    queue = app.pool.transport.queue(app.name, "default").key
    with redis_server.client() as client:
        (body,) = client.hvals(f"{queue}.msgs")

    assert [record.id] == json.loads(body)["args"]


@pytest.mark.parametrize("body", [b"", b"\x80\x04N.", b"[]", b"7", b'{"message_id": 7}', b"[" * 99])
def test_body_that_is_no_message(body: bytes) -> None:
    """
    (27, 65) What is no message names nothing.
    """
    assert "" == name_of(body)


def test_queues_of_apps_never_meet() -> None:
    """
    (70) No two queues of any apps have one name, and none is one of Dramatiq's own.
    """
    pairs = [
        *(("a", "b.c"), ("a.b", "c"), ("a", "b"), ("a", "DQ"), ("a", "XQ"), ("a.DQ", "x")),
        *(("a", "b-c"), ("a", "b c"), ("a", "b-2dc"), ("a", "-44Q"), ("a", "ü"), ("a", "ue")),
    ]
    names = [queue_name(app, queue) for app, queue in pairs]

    assert len(set(names)) == len(names)
    assert [] == [name for name in names if name.endswith((".DQ", ".XQ"))]


def test_record_and_message_in_one_step(make_app: MakeApp, redis_server: RedisProcess) -> None:
    """
    A submission is one command to Redis, and leaves both the record and the message.
    """
    app = make_app({"backend": "dramatiq", "url": redis_server.url})
    app.submit("is_odd", 1)
    with redis_server.client() as client:
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        record = app.submit("is_odd", 3).record
        after = client.info("commandstats")["cmdstat_evalsha"]["calls"]

    assert 1 == after - before
    assert f"{record.id}-1" == waiting(app)[-1]["message_id"]
    assert JobStatus.queued is app.fetch_job(record.id).status


def test_job_whose_message_waits_is_not_sent_twice(
    make_app: MakeApp, redis_server: RedisProcess
) -> None:
    """
    (41) On Redis a job is handed over once more only if its message is gone.
    """
    app = make_app({"backend": "dramatiq", "url": redis_server.url})
    request = SubmitRequest.of(app.submit("is_odd", 3).record)
    for generation in (2, 3, 4):
        app.pool.submit(attrs.evolve(request, generation=generation))
    first = [message["message_id"] for message in waiting(app)]
    with redis_server.client() as client:
        client.delete(app.pool.transport.queue(app.name, "default").key)
    app.pool.submit(attrs.evolve(request, generation=5))

    assert [f"{request.job_id}-1"] == first
    assert [f"{request.job_id}-5"] == [message["message_id"] for message in waiting(app)]


def test_priorities_are_refused(make_app: MakeApp, broker_options: dict[str, Any]) -> None:
    """
    (8) What is not declared is refused before anything reaches the queue.
    """
    app = make_app(broker_options)
    app.submit("is_odd", 1)
    with pytest.raises(UnsupportedCapability, match="priorities"):
        app.submit("is_odd", 3, priority=1)

    assert (1, 1) == (len(waiting(app)), len(app.job_store.list_jobs(JobQuery())))


def test_pool_made_before_a_fork(make_app: MakeApp, broker_options: dict[str, Any]) -> None:
    """
    (7) An app that was used and then forked submits from four children at once,
    and the parent goes on.
    """
    app = make_app(broker_options)
    app.submit("is_odd", 0)
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_submit, args=(app,)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(30.0)
    app.submit("is_odd", 0)

    assert [0] * 4 == [child.exitcode for child in children]
    assert 42 == len(waiting(app))


@pytest.mark.parametrize("attempts", [1, 2])
def test_message_of_a_job_that_is_left_behind_is_gone(
    make_app: MakeApp, broker_options: dict[str, Any], attempts: int
) -> None:
    """
    (48) A worker that ends at once, in the middle of a job in its own process, leaves
    nothing of the job's message; where the job is to be tried again, there is a new one.
    """
    app = make_app(broker_options)
    release = multiprocessing.get_context("fork").Event()
    app.execute_job = lambda job: release.wait(60.0)
    worker = app.pool.spawn_worker(isolation="thread", start_method="fork").wait_ready()
    job_id = app.submit("is_odd", 1, max_attempts=attempts).record.id
    store = app.job_store
    wait_until(lambda: store.get(job_id).status is JobStatus.running, message="the job runs")
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(timeout=0.5) is None
    os.kill(worker.pid, signal.SIGTERM)

    assert EXIT_UNFINISHED == worker.wait(timeout=10.0)
    left = [message["message_id"] for message in waiting(app)]
    assert [f"{job_id}-2"][: attempts - 1] == left
    if broker_options["url"].startswith("redis"):
        bodies = f"{app.pool.transport.queue(app.name, 'default').key}.msgs"
        with app.pool.options.make_broker("dramatiq").client as client:
            assert len(left) == client.hlen(bodies)


def _submit(app: Any) -> None:
    for number in range(10):
        app.submit("is_odd", number)


# -- RabbitMQ


def test_queue_that_somebody_deleted_is_made_again(
    make_app: MakeApp, rabbitmq: RabbitProcess, tmp_path: Path
) -> None:
    """
    (41) A message for a queue that is no longer there is not lost without a word.
    """
    store = f"sqlite:///{tmp_path}/jobs.db"
    app = make_app({"backend": "dramatiq", "url": rabbitmq.url, "job_store": store})
    request = SubmitRequest(job_id="first", app=app.name, pipeline="p", backend="dramatiq")
    app.pool.submit(request)
    with rabbitmq.connect() as connection:
        connection.channel().queue_delete(queue_name(app.name, "default"))
    app.pool.submit(attrs.evolve(request, job_id="second"))

    assert [["second"]] == [message["args"] for message in waiting(app)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("guest:guest", "guest:hunter2"), "check the user and the password"),
        (("%2F", "nowhere"), "virtual host"),
    ],
    ids=["password", "virtual host"],
)
def test_what_rabbitmq_refuses_is_told(
    rabbitmq: RabbitProcess, change: tuple[str, str], says: str
) -> None:
    """
    An address that cannot work is told with the remedy, and without the password.
    """
    pool = DramatiqWorkerPool(url=rabbitmq.url.replace(*change), job_store="sqlite://")
    with pytest.raises(BrokerUnavailable, match=says) as caught:
        pool.submit(SubmitRequest(job_id="j", app="a", pipeline="p", backend="dramatiq"))

    assert "hunter2" not in str(caught.value)


def test_queue_with_other_arguments_is_told(rabbitmq: RabbitProcess) -> None:
    """
    A queue that exists with another ``max_priority`` is told, and left as it is.
    """
    request = SubmitRequest(job_id="j", app="other", pipeline="p", backend="dramatiq")
    plain = DramatiqWorkerPool(url=rabbitmq.url, job_store="sqlite://")
    plain.submit(request)
    prioritised = DramatiqWorkerPool(
        url=rabbitmq.url, broker_kwargs={"max_priority": 3}, job_store="sqlite://"
    )
    with pytest.raises(BrokerUnavailable, match="options that the queue was made with"):
        prioritised.submit(request)
    plain.submit(request)
    plain.close()
    prioritised.close()
