"""
Workers for the length of a test.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import ClassVar, Self

from chariots_core.app import App, app_of, apps_of_this_process
from chariots_core.errors import BackendNotConfigured
from chariots_core.server import PipelinesServer
from chariots_core.workers import BaseWorkerPool
from chariots_core.workers.handle import WorkerProcess


class WorkerContext:
    """
    Workers that take an app's jobs while the block lasts.

    They are forked from this process, so they know what a test or a notebook
    has defined. At the end of the block they finish their jobs and are gone.

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
            for _ in range(self._processes):
                worker = pool.spawn_worker(start_method="fork")
                stack.callback(worker.stop, self._timeout)
                self.workers.append(worker)
            for worker in self.workers:
                worker.wait_ready(self._timeout)
            self._stack = stack.pop_all()
        return self

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
        apps = [app for app in apps_of_this_process() if isinstance(app.pool, self.pool_type)]
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
