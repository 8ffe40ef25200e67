"""
What goes into RQ's queues: an RQ job that calls our one function with the id of a job.

RQ itself makes a job once for each queue; the rest is filled in for each message.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from chariots_core.queues import RedisList
from chariots_core.workers import SubmitRequest
from chariots_rq.options import RQOptions

#: The one function that a message of Chariots calls.
ENTRY: Final = "chariots_rq.entry.run"

#: Seconds after which RQ's own record of a message that nobody took is dropped.
#: The job is not: it is handed over again.
MESSAGE_TTL: Final = 7 * 24 * 3600


def queue_name(app: str, queue: str, *, base: str = "chariots") -> str:
    """
    The name of an app's queue, as RQ and its tools show it.

    >>> queue_name("my_app", "default")
    'chariots:my_app:default'
    """
    return f"{base}:{app}:{quote(queue, safe='')}"


def queue_of(client: Redis, options: RQOptions) -> Callable[[str, str], RedisList]:
    """
    How RQ keeps the queues of apps in Redis.

    Args:
        client: any client of the server; it is not connected.
        options: what the backend was told.
    """
    told = {"default_timeout": -1, **options.queue_kwargs}
    base = told.pop("name", "chariots")

    def make(app: str, name: str) -> RedisList:
        name = queue_name(app, name, base=base)
        queue = Queue(name, connection=client, serializer=JSONSerializer, **told)
        record = Job.key_for("")
        return RedisList(
            key=queue.key,
            known=("EXISTS", record),
            forget=("DEL", record),
            write=_writer(queue, record, options.result_ttl),
        )

    return make


def _writer(
    queue: Queue, record: str, result_ttl: int
) -> Callable[[SubmitRequest], list[list[Any]]]:
    made = queue.create_job(
        ENTRY,
        args=("id",),
        description=ENTRY,
        result_ttl=result_ttl,
        failure_ttl=MESSAGE_TTL,
        status=JobStatus.QUEUED,
    )
    made.origin = queue.name
    fields = made.to_dict()
    # Set for each message.
    for name in ("created_at", "enqueued_at", "data", "description"):
        fields.pop(name, None)
    fixed = [part for pair in fields.items() if pair[1] != "" for part in pair]

    def write(request: SubmitRequest) -> list[list[Any]]:
        key = f"{record}{request.message_id}"
        now = f"{datetime.now(UTC).replace(tzinfo=None).isoformat()}Z"
        call = json.dumps([ENTRY, None, [request.job_id], {}])
        mine = [
            *("created_at", now, "enqueued_at", now, "description", request.pipeline),
            *("data", zlib.compress(call.encode(), 1)),
        ]
        return [
            ["HSET", key, *mine, *fixed],
            ["EXPIRE", key, MESSAGE_TTL],
            ["SADD", Queue.redis_queues_keys, queue.key],
        ]

    return write
