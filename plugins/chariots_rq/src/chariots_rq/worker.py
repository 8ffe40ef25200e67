"""
RQ's own worker, for people who run ``rq worker`` and want to go on doing so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from redis import Redis
from redis.connection import ConnectionPool
from rq import Queue, Worker
from rq.job import Job
from rq.serializers import JSONSerializer

from chariots_core.app.engines import app_of_environment
from chariots_core.errors import ChariotsError
from chariots_core.workers import WorkerSession, WorkerSettings
from chariots_core.workers.signals import StopSignals
from chariots_rq import entry
from chariots_rq.messages import ENTRY, queue_name
from chariots_rq.pool import RQWorkerPool

#: What RQ is told of time, in seconds: it shows signs of life in between.
_WORKER_TTL: Final = 20
_MONITORING: Final = 5
_BEAT_TTL: Final = 20.0


class RQJob(Job):
    """
    A message, as RQ sees it: one that calls our one function, or that is refused.

    RQ would import and call whatever a message names, and its callbacks.
    """

    @property
    def func(self) -> Callable[..., Any]:
        """
        The one function that a message may call.

        Raises:
            PermissionError: the message names another; RQ writes it off as failed.
        """
        if self.func_name != ENTRY or self.instance is not None:
            raise PermissionError(
                f"message {self.id!r} is refused: workers of Chariots call {ENTRY} and nothing else"
            )
        return entry.run

    def restore(self, raw_data: Any) -> Any:
        """
        Read the message, without what RQ would call after it.
        """
        restored = super().restore(raw_data)
        self._success_callback_name = self._failure_callback_name = None
        self._stopped_callback_name = None
        self.webhooks = []
        return restored


class RQWorker(Worker):
    """
    ``rq worker --worker-class chariots_rq.RQWorker``, with the app in ``CHARIOTS_APP``.

    The app is imported once, and each job runs in a child that RQ forks. It
    takes messages from the app's own Redis, whatever ``--url`` says; the names
    of queues are those of the app (``default``, say). JSON is all it reads. It
    is on the list of the app's workers, and settles what is due like any other.

    Args:
        queues: names of queues, or queues, of the app.
        **options: those of `rq.Worker`.
    """

    def __init__(self, queues: Any, *args: Any, **options: Any) -> None:
        app, pool = _loaded()
        self._pool = pool
        listed = queues if isinstance(queues, (list, tuple)) else [queues]
        names = [str(getattr(queue, "name", queue)) for queue in listed]
        connection = _connection_like(pool)
        mine = [
            Queue(name, connection=connection, serializer=JSONSerializer, job_class=RQJob)
            for name in (_full_name(pool, app.name, name) for name in names)
        ]
        options |= {
            "connection": connection,
            "job_class": RQJob,
            "serializer": JSONSerializer,
            "worker_ttl": _WORKER_TTL,
            "job_monitoring_interval": _MONITORING,
        }
        super().__init__(mine, *args, **options)
        self._session: WorkerSession | None = None
        self._settings = WorkerSettings(queues=tuple(names), beat_ttl=_BEAT_TTL)
        self._parent = os.getpid()

    def register_birth(self) -> None:
        """
        Appear on RQ's list of workers, and on that of the app.
        """
        super().register_birth()  # type: ignore[no-untyped-call]
        self._session = WorkerSession(self._pool, settings=self._settings, signals=StopSignals())

    def heartbeat(self, *args: Any, **options: Any) -> None:
        """
        Show a sign of life to both, and settle what is due for the app.
        """
        super().heartbeat(*args, **options)
        if self._session is not None and os.getpid() == self._parent:
            self._session.housekeep()

    def register_death(self) -> None:
        """
        Leave both lists.
        """
        super().register_death()  # type: ignore[no-untyped-call]
        if self._session is not None:
            self._session.close()
            self._session = None


def _loaded() -> tuple[Any, RQWorkerPool]:
    try:
        app, pool, _ = app_of_environment(RQWorkerPool)
        app.open()
    except ChariotsError as error:
        # RQ's command would show a traceback.
        sys.exit(f"Error: {error}")
    return app, pool


def _connection_like(pool: RQWorkerPool) -> Redis:
    """
    A client for RQ alone, which changes the time-outs of what it is given.
    """
    shared = pool.client.connection_pool
    options = {**shared.connection_kwargs, "decode_responses": False}
    return Redis(
        connection_pool=ConnectionPool(connection_class=shared.connection_class, **options)
    )


def _full_name(pool: RQWorkerPool, app: str, name: str) -> str:
    full = queue_name(app, name, base=pool.options.queue_kwargs.get("name", "chariots"))
    return name if name.startswith(full[: -len(quote(name, safe=""))]) else full
