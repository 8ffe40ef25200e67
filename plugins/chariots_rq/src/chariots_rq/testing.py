"""
A worker for the apps of this process, for as long as a block lasts.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from chariots_core.app import apps_of_this_process
from chariots_core.errors import BackendNotConfigured
from chariots_core.testing import WorkerContext
from chariots_rq.pool import RQWorkerPool


class RQWorkerContext:
    """
    A worker for each app of this process that uses RQ, while the block lasts.

    They are forked from this process, so they know apps of a notebook, a test
    or a doctest; they take jobs as the block begins. At its end they finish
    what they are at and are gone.

    Args:
        timeout: seconds that they may take to be ready, and to end.

    Raises:
        BackendNotConfigured: no app of this process uses RQ.
    """

    def __init__(self, *, timeout: float = 30.0) -> None:
        self._timeout = timeout
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        apps = [app for app in apps_of_this_process() if isinstance(app.pool, RQWorkerPool)]
        if not apps:
            raise BackendNotConfigured(
                "no app of this process uses RQ: make one with worker_pool='rq', or with an "
                "RQWorkerPool, before the block"
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
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()
