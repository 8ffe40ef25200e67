"""
What the backend ``rq`` may be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
from redis import Redis
from redis.connection import ConnectionPool

from chariots_core.queues import QueueOptions
from chariots_core.workers.options import mapping_option, misconfigured

#: What `rq.Queue` may be told: the rest would break what a message is.
_QUEUE_OPTIONS: Final = ("name", "default_timeout")


def _client(_instance: object, _field: object, value: Any) -> None:
    if value is None:
        return
    # A cluster or a sentinel hands out connections by rules of its own.
    pool = getattr(value, "connection_pool", None)
    if not isinstance(value, Redis) or not isinstance(pool, ConnectionPool):
        raise TypeError
    if "connection_pool" in pool.connection_kwargs:
        raise TypeError


@attrs.frozen(kw_only=True)
class RQOptions(QueueOptions):
    """
    What the backend ``rq`` may be told, beside what `QueueOptions` says.

    Attributes:
        redis: a client of the server; where it is given, *url* and
            *redis_kwargs* are not.
        url: the server's address: ``redis://host:port/db``, ``rediss://…``,
            ``unix://…``.
        redis_kwargs: what `redis.Redis` is given beside.
        queue_kwargs: what `rq.Queue` is given: ``name``, with which the names of
            the app's queues begin, and ``default_timeout``, seconds after which
            a worker of RQ's own ends a job, whatever the job itself says.
        result_ttl: seconds for which RQ's own workers keep their record of a
            message that they have run; the job's record is kept as the job says.
    """

    redis: Any = attrs.field(
        default=None,
        repr=False,
        validator=_client,
        metadata={"expects": "a redis.Redis client of a single server"},
    )
    url: str | None = attrs.field(
        default=None,
        repr=False,
        validator=attrs.validators.optional(attrs.validators.matches_re(r"(rediss?|unix)://.+")),
        metadata={"expects": "an address such as redis://host:6379/0"},
    )
    redis_kwargs: Mapping[str, Any] = mapping_option("a mapping of options of redis.Redis")
    queue_kwargs: Mapping[str, Any] = mapping_option(
        f"a mapping with some of {', '.join(_QUEUE_OPTIONS)}",
        lambda given: set(given) <= set(_QUEUE_OPTIONS),
    )
    result_ttl: int = attrs.field(
        default=500,
        validator=[attrs.validators.instance_of(int), attrs.validators.ge(0)],
        metadata={"expects": "a whole number of seconds, 0 or more"},
    )

    def client(self, backend: str) -> Redis:
        """
        The client that these options ask for; it is not connected.

        Raises:
            BackendMisconfigured: they contradict each other, or redis does not
                take one of them.
        """
        if isinstance(self.redis, Redis):
            if self.url or self.redis_kwargs:
                raise misconfigured(
                    backend,
                    ["option 'redis' is a whole client: leave out 'url' and 'redis_kwargs'"],
                )
            return self.redis
        try:
            if self.url is not None:
                return Redis.from_url(self.url, **self.redis_kwargs)
            return Redis(**self.redis_kwargs)
        except (TypeError, ValueError):
            # What redis says may show a value, which may be a password.
            raise misconfigured(
                backend, ["options 'url' and 'redis_kwargs' must be what redis.Redis takes"]
            ) from None
