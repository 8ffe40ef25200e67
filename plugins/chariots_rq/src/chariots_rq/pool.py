"""
`RQWorkerPool`: job ids over RQ's queues.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import attrs
from redis import Redis
from redis.connection import ConnectionPool

from chariots_core.errors import (
    BackendMisconfigured,
    BrokerUnavailable,
    ConfigurationError,
    StoreUnavailable,
)
from chariots_core.jobs.record import NewJob
from chariots_core.jobs.store import Created, IdempotencyKey, JobStore
from chariots_core.jobs_redis import RedisJobStore
from chariots_core.jobs_redis.server import RedisServer, Unsent
from chariots_core.workers import (
    CORE_CAPABILITIES,
    BaseWorkerPool,
    Capabilities,
    SubmitRequest,
    WorkerSession,
    read_options,
)
from chariots_core.workers.contracts import RunOutcome
from chariots_core.workers.options import misconfigured
from chariots_core.workers.pool_types import PoolApp
from chariots_rq.consumer import Consumer
from chariots_rq.messages import Messages, job_id_of, queue_name

#: What `rq.Queue` may be told: the rest would break what a message is.
_QUEUE_OPTIONS: Final = ("name", "default_timeout")


def _or_empty(value: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {} if value is None else value


def _mapping(_instance: object, _field: object, value: object) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise TypeError


def _client(_instance: object, _field: object, value: Any) -> None:
    if value is None:
        return
    # A cluster or a sentinel hands out connections by rules of its own.
    pool = getattr(value, "connection_pool", None)
    if not isinstance(value, Redis) or not isinstance(pool, ConnectionPool):
        raise TypeError
    if "connection_pool" in pool.connection_kwargs:
        raise TypeError


def _queue_options(_instance: object, _field: object, value: Mapping[str, object]) -> None:
    if not set(value) <= set(_QUEUE_OPTIONS):
        raise ValueError


@attrs.frozen(kw_only=True)
class RQOptions:
    """
    What the backend ``rq`` may be told.

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
        resend_after: seconds after which a job that nobody has started is handed
            over again, unless its message waits in the queue.
        job_store: the address of the job store, where it is not to be this Redis.
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
    redis_kwargs: Mapping[str, Any] = attrs.field(
        default=None,
        repr=False,
        converter=_or_empty,
        validator=_mapping,
        metadata={"expects": "a mapping of options of redis.Redis"},
    )
    queue_kwargs: Mapping[str, Any] = attrs.field(
        default=None,
        repr=False,
        converter=_or_empty,
        validator=[_mapping, _queue_options],
        metadata={"expects": f"a mapping with some of {', '.join(_QUEUE_OPTIONS)}"},
    )
    result_ttl: int = attrs.field(
        default=500,
        validator=[attrs.validators.instance_of(int), attrs.validators.ge(0)],
        metadata={"expects": "a whole number of seconds, 0 or more"},
    )
    resend_after: float = attrs.field(
        default=30.0,
        converter=float,
        validator=[attrs.validators.ge(1), attrs.validators.lt(float("inf"))],
        metadata={"expects": "a number of seconds, 1 or more"},
    )
    job_store: str | None = attrs.field(
        default=None,
        repr=False,
        validator=attrs.validators.optional(attrs.validators.matches_re(r"[a-z0-9+]+://.*")),
        metadata={"expects": "the address of a job store"},
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


def _keeps_jobs(options: RQOptions) -> bool:
    return options.job_store is None and not os.environ.get("CHARIOTS_JOB_STORE")


class RQWorkerPool(BaseWorkerPool):
    """
    Hands job ids over by RQ's queues, and keeps the jobs in the same Redis.

    A message is an RQ job that calls one function of this package with the id
    of a job, in JSON. Workers are those of Chariots (``chariots worker``), or
    RQ's own (``rq worker``); either way what runs, for how long, how often, and
    what becomes of it is the job record's business, not RQ's.

    Args:
        redis: a client of the server; the pool makes connections of its own
            that go where the client's go.
        redis_kwargs: in place of a client, what `redis.Redis` is given.
        queue_kwargs: what `rq.Queue` is given; see `RQOptions`.
        url: in place of a client, the server's address.
        result_ttl: see `RQOptions`.
        resend_after: see `RQOptions`.
        job_store: see `RQOptions`.

    Raises:
        BackendMisconfigured: options that cannot work, by key, without values.
    """

    name = "rq"
    capabilities: ClassVar[Capabilities] = CORE_CAPABILITIES | Capabilities(queues=True)

    def __init__(
        self,
        redis: Redis | None = None,
        redis_kwargs: Mapping[str, Any] | None = None,
        queue_kwargs: Mapping[str, Any] | None = None,
        *,
        url: str | None = None,
        result_ttl: int = 500,
        resend_after: float = 30.0,
        job_store: str | None = None,
    ) -> None:
        given = {
            "redis": redis,
            "url": url,
            "redis_kwargs": redis_kwargs,
            "queue_kwargs": queue_kwargs,
            "result_ttl": result_ttl,
            "resend_after": resend_after,
            "job_store": job_store,
        }
        self._set_up(read_options(RQOptions, given, backend=self.name))

    @classmethod
    def of(cls, options: RQOptions) -> Self:
        """
        A pool of options that were read already.
        """
        return cls(**attrs.asdict(options, recurse=False))

    def _set_up(self, options: RQOptions) -> None:
        self.options = options
        self._keeps_jobs = _keeps_jobs(options)
        self.resend_after = options.resend_after
        self.store_url = options.job_store
        self.client: Redis = options.client(self.name)
        try:
            self._server = RedisServer.of_pool(self.client.connection_pool)
        except ConfigurationError as error:
            raise BackendMisconfigured(str(error), backend=self.name) from None
        self._consumer: Consumer | None = None
        self._queues: dict[tuple[str, str], Messages] = {}

    # -- the contract

    def bind(self, app: PoolApp) -> Self:
        """
        Tie the pool to *app*, and find out where its jobs are to be kept.
        """
        pool = super().bind(app)
        pool._keeps_jobs = _keeps_jobs(pool.options)  # noqa: SLF001 - the pool itself, or a copy
        return pool

    def create_job_store(self, app: str) -> JobStore:
        """
        The jobs in the pool's own Redis, unless another place is named.
        """
        if self._keeps_jobs:
            return RedisJobStore(self._server, app=app)
        return super().create_job_store(app)

    def submit(self, request: SubmitRequest) -> None:
        """
        Put a message into the queue of the request, unless one waits there.

        Raises:
            BrokerUnavailable: Redis cannot be reached or cannot work.
            TimeoutError: it did not answer.
        """
        try:
            self.messages(request.app, request.queue).send(self._server, request)
        except Unsent as error:
            raise BrokerUnavailable(error.message, job_id=request.job_id) from error
        except StoreUnavailable as error:
            raise TimeoutError(error.message) from error

    def record_and_submit(self, job: NewJob, idempotency: IdempotencyKey | None) -> Created | None:
        """
        Record a job and put its message into the queue, in one step of one server.
        """
        store = self.job_store()
        if not isinstance(store, RedisJobStore) or not store.is_on(self._server):
            return None
        request = SubmitRequest(
            job_id=job.id,
            app=self.app.name,
            pipeline=job.pipeline,
            backend=job.backend,
            queue=job.queue,
        )
        commands = self.messages(request.app, request.queue).first(request)
        return store.create(job, idempotency=idempotency, commands=commands)

    def run_worker(self, session: WorkerSession) -> None:
        """
        Take one message after the other from the session's queues.
        """
        keys = [self.messages(session.app_name, queue).key for queue in session.queues]
        self._consumer = consumer = Consumer(self._server, keys)
        with consumer:
            while session.keep_running():
                message = consumer.take(session)
                if message is None:
                    continue
                if session.run(job_id_of(message.id)) is RunOutcome.HANDED_BACK:
                    consumer.put_back(message)
                else:
                    consumer.drop(message)

    def after_fork_in_child(self) -> None:
        """
        Close the copies of the connections to Redis.
        """
        self._server.after_fork_in_child()
        if self._consumer is not None:
            self._consumer.after_fork_in_child()

    def close(self) -> None:
        """
        Give back connections. Idempotent; a later use connects anew.
        """
        super().close()
        self._server.close()

    # -- queues

    def messages(self, app: str, queue: str) -> Messages:
        """
        What puts messages into a queue of an app.
        """
        made = self._queues.get((app, queue))
        if made is None:
            options = dict(self.options.queue_kwargs)
            name = queue_name(app, queue, base=options.pop("name", "chariots"))
            made = self._queues[app, queue] = Messages(
                name,
                client=self.client,
                queue_options=options,
                result_ttl=self.options.result_ttl,
            )
        return made
