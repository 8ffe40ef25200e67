"""
What goes into RQ's queues: an RQ job that calls our one function with the id of a job.

RQ itself makes a job once for each queue; the rest is filled in for each
message, and one script puts it into Redis, so that a message costs one round trip.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from chariots_core.jobs_redis.server import RedisServer, Script
from chariots_core.workers import SubmitRequest

#: The one function that a message of Chariots calls.
ENTRY: Final = "chariots_rq.entry.run"

#: Seconds after which RQ's own record of a message that nobody took is dropped.
#: The job is not: it is handed over again.
MESSAGE_TTL: Final = 7 * 24 * 3600

_HAND_OVER: Final = Script("chariots_rq", "hand_over.lua")


def queue_name(app: str, queue: str, *, base: str = "chariots") -> str:
    """
    The name of an app's queue, as RQ and its tools show it.

    >>> queue_name("my_app", "default")
    'chariots:my_app:default'
    """
    return f"{base}:{app}:{quote(queue, safe='')}"


def job_id_of(message: str) -> str:
    """
    The id of the job that a message names; whatever else it is, the id of none.

    >>> job_id_of("4f2a-3")
    '4f2a'
    """
    return message.rpartition("-")[0]


class Messages:
    """
    Puts messages into one queue.

    Args:
        name: the queue's name, for RQ.
        client: any client of the server; it is not connected.
        queue_options: what `rq.Queue` is given beside.
        result_ttl: seconds for which RQ keeps its record of a message that its
            own worker has run.
    """

    def __init__(
        self, name: str, *, client: Redis, queue_options: Mapping[str, Any], result_ttl: int
    ) -> None:
        queue = Queue(
            name,
            connection=client,
            serializer=JSONSerializer,
            **{"default_timeout": -1, **queue_options},
        )
        self.name: str = name
        self.key: str = queue.key
        self._all: str = Queue.redis_queues_keys
        self._prefix: str = Job.key_for("")
        made = queue.create_job(
            ENTRY,
            args=("id",),
            description=ENTRY,
            result_ttl=result_ttl,
            failure_ttl=MESSAGE_TTL,
            status=JobStatus.QUEUED,
        )
        made.origin = name
        fields = made.to_dict()
        # Set for each message.
        for name_of_field in ("created_at", "enqueued_at", "data", "description"):
            fields.pop(name_of_field, None)
        self._fixed: list[Any] = [part for pair in fields.items() if pair[1] != "" for part in pair]

    def send(self, server: RedisServer, request: SubmitRequest) -> bool:
        """
        Put one message at the end of the queue.

        Returns:
            Whether it was; ``False``: an earlier one for the same job waits there.
        """
        return bool(
            server.run(
                _HAND_OVER,
                (self.key, self._all, self._prefix),
                *(request.job_id, request.generation, MESSAGE_TTL),
                *self._fields(request),
            )
        )

    def first(self, request: SubmitRequest) -> list[list[Any]]:
        """
        The commands that put the first message for a job into the queue.
        """
        key = f"{self._prefix}{request.message_id}"
        return [
            ["HSET", key, *self._fields(request)],
            ["EXPIRE", key, MESSAGE_TTL],
            ["SADD", self._all, self.key],
            ["RPUSH", self.key, request.message_id],
        ]

    def _fields(self, request: SubmitRequest) -> list[Any]:
        now = f"{datetime.now(UTC).replace(tzinfo=None).isoformat()}Z"
        call = json.dumps([ENTRY, None, [request.job_id], {}])
        return [
            *("created_at", now, "enqueued_at", now, "description", request.pipeline),
            *("data", zlib.compress(call.encode(), 1)),
            *self._fixed,
        ]
