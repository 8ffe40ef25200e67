"""
Dramatiq's own worker: ``dramatiq chariots_dramatiq.worker:broker``, with the app in ``CHARIOTS_APP``.

Dramatiq runs messages in threads. Each thread keeps a child process for its
jobs, which is supervised as in any worker of Chariots, unless
``CHARIOTS_ISOLATION`` says ``fresh`` or ``thread``. ``CHARIOTS_QUEUES`` names
the queues, with commas, if not ``default`` alone.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from functools import cache
from typing import Any, Final

import dramatiq
from dramatiq import Actor, Broker, Middleware

from chariots_core.app.engines import app_of_environment
from chariots_core.errors import BackendUnavailable, ChariotsError
from chariots_core.workers import (
    JobRunner,
    RunnerSettings,
    StopSignals,
    WorkerSession,
    WorkerSettings,
)
from chariots_dramatiq.messages import ACTOR, queue_name
from chariots_dramatiq.pool import DramatiqWorkerPool

_log = logging.getLogger(__name__)

ISOLATION_VARIABLE: Final = "CHARIOTS_ISOLATION"
QUEUES_VARIABLE: Final = "CHARIOTS_QUEUES"

#: Seconds between two looks at what is due.
_TURN: Final = 1.0


class ChariotsMiddleware(Middleware):
    """
    Puts a process of Dramatiq's on the list of workers, and settles what is due.

    Args:
        pool: the pool whose jobs it runs.
        settings: the queues, and how jobs are run.
    """

    def __init__(self, pool: DramatiqWorkerPool, settings: WorkerSettings) -> None:
        self._pool = pool
        self._settings = settings
        self._signals = StopSignals()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._runners = threading.local()
        self.worker_id = ""

    def run(self, job_id: str) -> None:
        """
        Run one job in a child of the thread that calls.
        """
        runner = getattr(self._runners, "mine", None)
        if runner is None:
            runner = self._runners.mine = JobRunner(
                self._pool.app,
                worker_id=self.worker_id,
                settings=self._settings.runner,
                after_fork=self._pool.after_fork_in_child,
            )
        try:
            runner.run(job_id)
        except BackendUnavailable as error:
            # Dramatiq has no way to leave a message where it is.
            _log.warning("job %s cannot be claimed, and is sent again later: %s", job_id, error)

    def before_worker_boot(self, broker: Broker, worker: Any) -> None:  # noqa: ARG002
        """
        Appear on the list of workers.
        """
        session = WorkerSession(self._pool, settings=self._settings, signals=self._signals)
        self.worker_id = session.worker_id
        session.housekeep()
        self._thread = threading.Thread(
            target=self._attend, args=(session,), name="chariots", daemon=True
        )
        self._thread.start()

    def before_worker_shutdown(self, broker: Broker, worker: Any) -> None:  # noqa: ARG002
        """
        Say that no further job is taken.
        """
        self._signals.request()

    def after_worker_shutdown(self, broker: Broker, worker: Any) -> None:  # noqa: ARG002
        """
        Leave the list of workers.
        """
        self._ended.set()
        if self._thread is not None:
            self._thread.join(10.0)

    def before_worker_thread_shutdown(self, broker: Broker, thread: Any) -> None:  # noqa: ARG002
        """
        End the thread's child.
        """
        runner = getattr(self._runners, "mine", None)
        if runner is not None:
            runner.close()

    def _attend(self, session: WorkerSession) -> None:
        with session:
            while not self._ended.wait(_TURN):
                session.housekeep()


def broker() -> None:
    """
    Make the broker of the app that the environment names Dramatiq's, with our one actor.

    Dramatiq's command calls it, in its first process and in each of its workers.
    """
    try:
        dramatiq.set_broker(_set_up())
    except ChariotsError as error:
        # The command would show a traceback.
        sys.exit(f"Error: {error}")


@cache
def _set_up() -> Broker:
    app, pool, spec = app_of_environment(DramatiqWorkerPool)
    named = os.environ.get(QUEUES_VARIABLE, "default").split(",")
    queues = tuple(name.strip() for name in named if name.strip()) or ("default",)
    isolation: Any = os.environ.get(ISOLATION_VARIABLE, "warm")
    pool.capabilities.require_isolation(isolation, backend=pool.name)
    runner = RunnerSettings(isolation=isolation, start_method="spawn", app_spec=spec)
    middleware = ChariotsMiddleware(pool, WorkerSettings(queues=queues, runner=runner))
    made: Broker = pool.broker
    made.add_middleware(middleware)
    # What a job may take and how often it runs is its record's business.
    ours = {"max_retries": 0, "time_limit": float("inf"), "max_age": float("inf")}
    Actor(
        middleware.run,
        broker=made,
        actor_name=ACTOR,
        queue_name=queue_name(app.name, queues[0]),
        priority=0,
        options={name: value for name, value in ours.items() if name in made.actor_options},
    )
    for queue in queues[1:]:
        made.declare_queue(queue_name(app.name, queue))
    return made
