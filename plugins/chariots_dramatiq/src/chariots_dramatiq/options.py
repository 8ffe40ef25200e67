"""
What the backend ``dramatiq`` may be told, and the broker that comes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
from dramatiq import Broker

from chariots_core.errors import BackendMisconfigured
from chariots_core.queues import QueueOptions
from chariots_core.workers.options import mapping_option, misconfigured

_RABBITMQ: Final = ("amqp://", "amqps://")

#: For Dramatiq's own workers on Redis, which look for messages of dead ones in
#: one of a thousand commands only, a minute after their death.
_REDIS: Final = {"heartbeat_timeout": 20_000, "maintenance_chance": 100_000}


def _broker(_instance: object, _field: object, value: object) -> None:
    if value is not None and kind_of(value) is None:
        raise TypeError


def kind_of(broker: object) -> str | None:
    """
    ``"redis"`` or ``"rabbitmq"``; ``None``: it is no broker of either.
    """
    # Only one of the two may be installed.
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(broker).__mro__}
    if "dramatiq.brokers.redis.RedisBroker" in names:
        return "redis"
    return "rabbitmq" if "dramatiq.brokers.rabbitmq.RabbitmqBroker" in names else None


@attrs.frozen(kw_only=True)
class DramatiqOptions(QueueOptions):
    """
    What the backend ``dramatiq`` may be told, beside what `QueueOptions` says.

    Attributes:
        broker: a `dramatiq.brokers.redis.RedisBroker` or a
            `dramatiq.brokers.rabbitmq.RabbitmqBroker`; where it is given, *url*
            and *broker_kwargs* are not.
        url: the broker's address: ``redis://host:port/db``, ``rediss://…``,
            ``unix://…``, ``amqp://user:password@host:port/vhost`` or
            ``amqps://…``; Redis on this machine unless somebody says otherwise.
        broker_kwargs: what the broker's class is given beside, ``namespace``
            or ``max_priority``, say.
    """

    broker: Any = attrs.field(
        default=None,
        repr=False,
        validator=_broker,
        metadata={"expects": "a RedisBroker or a RabbitmqBroker of dramatiq"},
    )
    url: str | None = attrs.field(
        default=None,
        repr=False,
        validator=attrs.validators.optional(
            attrs.validators.matches_re(r"(rediss?|unix|amqps?)://.+")
        ),
        metadata={"expects": "an address such as redis://host:6379/0 or amqp://host:5672"},
    )
    broker_kwargs: Mapping[str, Any] = mapping_option("a mapping of options of the broker's class")

    def make_broker(self, backend: str) -> Broker:
        """
        The broker that these options ask for; it is not connected.

        Raises:
            BackendMisconfigured: they contradict each other, the broker does not
                take one of them, or what it needs is not installed.
        """
        if self.broker is not None:
            if self.url or self.broker_kwargs:
                raise misconfigured(
                    backend,
                    ["option 'broker' is a whole broker: leave out 'url' and 'broker_kwargs'"],
                )
            made: Broker = self.broker
            return made
        address: dict[str, Any] = {} if self.url is None else {"url": self.url}
        try:
            # Retries, time-outs and results are the job record's business.
            if self.url is not None and self.url.startswith(_RABBITMQ):
                from dramatiq.brokers.rabbitmq import RabbitmqBroker

                told = {"confirm_delivery": True, "middleware": [], **self.broker_kwargs}
                return RabbitmqBroker(**address, **told)
            import dramatiq.brokers.redis as in_redis

            make: Any = in_redis.RedisBroker
            told = {"middleware": [], **_REDIS, **self.broker_kwargs}
            in_redis_broker: Broker = make(**address, **told)
            return in_redis_broker
        except ImportError as error:
            extra = "rabbitmq" if "pika" in str(error) else "redis"
            raise BackendMisconfigured(
                f"backend {backend!r} needs a package for this broker: run "
                f"`pip install 'chariots-dramatiq[{extra}]'`",
                backend=backend,
            ) from error
        except (TypeError, ValueError, RuntimeError):
            # What the broker says may show a value, which may be a password.
            raise misconfigured(
                backend,
                ["options 'url' and 'broker_kwargs' must be what the broker's class takes"],
            ) from None
