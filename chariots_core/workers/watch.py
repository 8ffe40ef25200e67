"""
Two threads for a worker that runs jobs in its own process: one is at work, one on watch.

Handing each job to a thread, and its end back, costs more than a small job. So the
thread with the worker's loop runs jobs itself, and the one that handles signals looks
after the worker while that one is in a job.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chariots_core.workers.pool import BaseWorkerPool
    from chariots_core.workers.session import WorkerSession
    from chariots_core.workers.signals import StopSignals

#: Seconds between two looks at a job, at most.
_INTERVAL: Final = 0.25


class Watch:
    """
    Whose turn it is to use what belongs to a worker: its runner, its connections.

    It is the turn of the thread with the loop, except while that one runs a job.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._turn.acquire()

    @contextmanager
    def in_job(self) -> Iterator[None]:
        """
        A block in which the thread with the loop uses nothing of the worker's.
        """
        self._turn.release()
        try:
            yield
        finally:
            self._turn.acquire()

    def begin(self) -> bool:
        """
        Take the other's turn, if there is a job; false if there is none.
        """
        return self._turn.acquire(blocking=False)

    def end(self) -> None:
        """
        Give the turn back. Without it the thread with the loop ends in its job.
        """
        self._turn.release()


def run_watched(
    pool: BaseWorkerPool, session: WorkerSession, signals: StopSignals, watch: Watch
) -> None:
    """
    `BaseWorkerPool.run_worker` in a thread, until it returns, or until its job is given up.

    Raises:
        Exception: whatever it raises.
    """
    runner = session.settings.runner
    interval = min(_INTERVAL, runner.progress_interval, runner.renew_interval)
    loop = _Loop(pool, session)
    loop.thread.start()
    while not loop.is_over:
        signals.heed(interval, loop.over)
        if watch.begin():
            if not session.attend():
                # It may be in its job for ever: its thread is no reason to stay.
                return
            watch.end()
    loop.join()


class _Loop:
    """
    The thread with the loop.

    Attributes:
        over: a descriptor that can be read once it has ended.
    """

    def __init__(self, pool: BaseWorkerPool, session: WorkerSession) -> None:
        self._pool = pool
        self._session = session
        self._error: BaseException | None = None
        self.is_over = False
        self.over, self._end = os.pipe()
        self.thread = threading.Thread(target=self._run, name="chariots-worker", daemon=True)

    def join(self) -> None:
        """
        Take note of its end.

        Raises:
            Exception: what ended it.
        """
        self.thread.join()
        for end in (self.over, self._end):
            os.close(end)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._pool.run_worker(self._session)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._error = error
        self.is_over = True
        os.write(self._end, b".")
