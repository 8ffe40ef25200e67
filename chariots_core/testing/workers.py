"""
Workers for the length of a test.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from types import TracebackType
from typing import ClassVar, Self

from chariots_core.app import App, app_of, apps_of_this_process
from chariots_core.app.replacing import unwatch_replacements, watch_replacements
from chariots_core.errors import BackendNotConfigured
from chariots_core.server import PipelinesServer
from chariots_core.workers import BaseWorkerPool
from chariots_core.workers.handle import WorkerProcess

_log = logging.getLogger(__name__)


class WorkerContext:
    """
    Workers that take an app's jobs while the block lasts.

    They are forked from this process, so they know what a test or a notebook
    has defined. At the end of the block they finish their jobs and are gone. If
    the app is made anew meanwhile, as by a cell of a notebook that is run again,
    they finish the job at hand, and workers of the new app take their place.

    Args:
        app: the app, or its server; it must have a worker backend.
        processes: how many workers.
        timeout: seconds that they may take to be ready, and to end.

    Attributes:
        workers: the workers, inside the block.
    """

    def __init__(
        self, app: App | PipelinesServer, *, processes: int = 1, timeout: float = 30.0
    ) -> None:
        self._app = app_of(app)
        self._processes = processes
        self._timeout = timeout
        self._stack = ExitStack()
        self.workers: list[WorkerProcess] = []

    def __enter__(self) -> Self:
        pool = self._app.pool
        if pool is None:
            raise BackendNotConfigured(
                f"app {self._app.name!r} has no worker backend: give it a worker_pool"
            )
        with ExitStack() as stack:
            self._start(pool, stack)
            for worker in self.workers:
                worker.wait_ready(self._timeout)
            watch_replacements(self)
            stack.callback(unwatch_replacements, self)
            self._stack = stack.pop_all()
        return self

    def take_over(self, pool: BaseWorkerPool) -> None:
        """
        Start workers for *pool*, that of an app which replaces the context's.

        The older workers have been asked to stop. The new ones take jobs as soon as
        they are ready, which is not waited for.
        """
        if self._app.pool is None or self._app.pool.jobs_key != pool.jobs_key:
            return
        try:
            self._start(pool, self._stack)
        except Exception:  # noqa: BLE001 - a pool of a plugin may raise anything
            # The app itself is made, and may get workers otherwise.
            _log.exception("no worker of app %r could be started anew", self._app.name)

    def _start(self, pool: BaseWorkerPool, stack: ExitStack) -> None:
        self.workers = [worker for worker in self.workers if worker.alive]
        for _ in range(self._processes):
            worker = pool.spawn_worker(start_method="fork")
            stack.callback(worker.stop, self._timeout)
            self.workers.append(worker)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
        self.workers.clear()


class BackendWorkerContext:
    """
    A worker for each app of this process that uses one backend, while the block lasts.

    A backend's plugin subclasses it and says which pools are its own; see `WorkerContext`.

    Args:
        timeout: seconds that the workers may take to be ready, and to end.

    Raises:
        BackendNotConfigured: no app of this process uses the backend.

    Attributes:
        pool_type: the class of the backend's pools.
    """

    pool_type: ClassVar[type[BaseWorkerPool]]

    def __init__(self, *, timeout: float = 30.0) -> None:
        self._timeout = timeout
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        apps = [
            app
            for app in apps_of_this_process()
            if isinstance(app.pool, self.pool_type) and not app.is_replaced
        ]
        if not apps:
            name = self.pool_type.name
            raise BackendNotConfigured(
                f"no app of this process uses the backend {name!r}: make one with "
                f"worker_pool={name!r}, or with a {self.pool_type.__name__}, before the block"
            )
        with ExitStack() as stack:
            for app in apps:
                stack.enter_context(WorkerContext(app, timeout=self._timeout))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()
