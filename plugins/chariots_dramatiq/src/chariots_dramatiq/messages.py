"""
What goes into Dramatiq's queues: a message to our one actor with the id of a job.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dramatiq import Message
from dramatiq.common import dq_name, xq_name
from dramatiq.encoder import JSONEncoder

from chariots_core.queues import RabbitQueue, RedisList, quoted
from chariots_core.workers import SubmitRequest

if TYPE_CHECKING:
    from dramatiq.brokers.rabbitmq import RabbitmqBroker
    from dramatiq.brokers.redis import RedisBroker

#: The one actor that runs jobs of Chariots.
ACTOR: Final = "chariots_run"

# Not the one that an app may have set for messages of its own: it may pickle.
_JSON: Final = JSONEncoder()


def queue_name(app: str, queue: str) -> str:
    """
    The name of an app's queue, as Dramatiq and its tools show it.

    >>> queue_name("my.app", "default"), queue_name("my.app", "gpu-jobs")
    ('chariots.my.app.default', 'chariots.my.app.gpu-2djobs')
    """
    name = quoted(queue)
    # The end of a name tells Dramatiq of its own queues for delays and for the dead.
    return f"chariots.{app}.{name if name not in {'DQ', 'XQ'} else f'-{ord(name[0]):x}Q'}"


def encoded(request: SubmitRequest, **options: Any) -> bytes:
    """
    The message that hands a job over, as it stands in the queue.
    """
    message: Message[Any] = Message(
        queue_name=queue_name(request.app, request.queue),
        actor_name=ACTOR,
        args=(request.job_id,),
        kwargs={},
        options=options,
        message_id=request.message_id,
    )
    return _JSON.encode(message.asdict())


def name_of(body: bytes) -> str:
    """
    The name of the message in *body*; empty: it is none of ours.
    """
    try:
        name = json.loads(body)["message_id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    return name if isinstance(name, str) else ""


def queue_in_redis(broker: RedisBroker) -> Callable[[str, str], RedisList]:
    """
    How Dramatiq keeps the queues of apps in Redis.
    """

    def make(app: str, name: str) -> RedisList:
        key = f"{broker.namespace}:{queue_name(app, name)}"
        messages = f"{key}.msgs"

        def write(request: SubmitRequest) -> list[list[Any]]:
            name = request.message_id
            return [["HSET", messages, name, encoded(request, redis_message_id=name)]]

        return RedisList(
            key=key,
            known=("HEXISTS", messages, ""),
            forget=("HDEL", messages, ""),
            write=write,
        )

    return make


def queue_in_rabbitmq(broker: RabbitmqBroker) -> Callable[[str, str], RabbitQueue]:
    """
    How Dramatiq keeps the queues of apps in RabbitMQ, and as what it declares them.
    """
    from dramatiq.brokers.rabbitmq import DEAD_MESSAGE_TTL

    ranked = {} if broker.max_priority is None else {"x-max-priority": broker.max_priority}

    def make(app: str, name: str) -> RabbitQueue:
        queue = queue_name(app, name)
        dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": xq_name(queue)}
        return RabbitQueue(
            name=queue,
            queues={
                queue: dead | ranked,
                dq_name(queue): dead | ranked,
                xq_name(queue): {"x-message-ttl": DEAD_MESSAGE_TTL},
            },
            write=encoded,
            name_of=name_of,
        )

    return make
