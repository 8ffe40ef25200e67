"""
A worker process, from its start to its exit code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from chariots_core.errors import ChariotsError
from chariots_core.workers.session import WorkerSession
from chariots_core.workers.settings import WorkerSettings
from chariots_core.workers.signals import StopSignals
from chariots_core.workers.watch import Watch, run_watched

if TYPE_CHECKING:
    from chariots_core.workers.pool import BaseWorkerPool

_log = logging.getLogger(__name__)

#: Asked to stop, and all that was begun came to its end.
EXIT_OK: Final = 0
#: Something unexpected ended it.
EXIT_ERROR: Final = 1
#: Ordered to stop in the middle of a job.
EXIT_UNFINISHED: Final = 3


def run_worker_process(
    pool: BaseWorkerPool,
    settings: WorkerSettings | None = None,
    *,
    lifeline: int | None = None,
    on_ready: Callable[[], None] | None = None,
    last: bool = False,
) -> int:
    """
    Make this process a worker, until it is told to stop.

    The first SIGTERM or SIGINT lets the job at hand come to its end and takes
    no other; the second, or the end of the grace, stops the job, whose record
    says so or which is queued again, by its attempts.

    Args:
        pool: a pool that is bound to its app.
        settings: how the worker works.
        lifeline: the reading end of a pipe that is closed when the process that
            started this one ends; then this one ends too.
        on_ready: called once, when it will take a job now.
        last: this process ends afterwards: no signal disturbs it any more.

    Returns:
        The process's exit code: `EXIT_OK`, `EXIT_UNFINISHED` or `EXIT_ERROR`.
    """
    settings = settings or WorkerSettings()
    with StopSignals(grace=settings.grace, lifeline=lifeline, last=last) as signals:
        watch = Watch() if settings.runner.isolation == "thread" else None
        session = WorkerSession(
            pool, settings=settings, signals=signals, on_ready=on_ready, watch=watch
        )
        _log.info(
            "worker %s takes jobs of app %r from %s, by backend %r; they are kept in %s",
            session.worker_id,
            session.app_name,
            ", ".join(session.queues),
            pool.name,
            pool.job_store().shown_address,
        )
        try:
            if watch is None:
                pool.run_worker(session)
            else:
                run_watched(pool, session, signals, watch)
        except ChariotsError as error:
            _log.error("worker %s cannot work: %s", session.worker_id, error)
            return EXIT_ERROR
        except Exception:  # noqa: BLE001 - a pool of a plugin may raise anything
            _log.exception("worker %s of backend %r failed", session.worker_id, pool.name)
            return EXIT_ERROR
        finally:
            session.close()
            pool.close()
        if session.unfinished:
            _log.warning(
                "worker %s has stopped, and left unfinished: job %s",
                session.worker_id,
                ", ".join(session.unfinished),
            )
            return EXIT_UNFINISHED
        _log.info("worker %s has stopped", session.worker_id)
        return EXIT_OK
