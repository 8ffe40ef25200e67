"""
Several workers as children of one process that keeps their number.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Final

import attrs

from chariots_core.workers.handle import WorkerProcess
from chariots_core.workers.isolation.unix import open_pidfd
from chariots_core.workers.process import EXIT_ERROR, EXIT_OK, EXIT_UNFINISHED
from chariots_core.workers.signals import StopSignals

_log = logging.getLogger(__name__)

#: Seconds that workers may take to settle their jobs once they were ordered to stop.
_LAST_GRACE: Final = 5.0

#: The longest that the loop sleeps: where the system has no descriptors for
#: processes, it is how long a death goes unseen.
_LOOK_INTERVAL: Final = 0.5


@attrs.define
class _Slot:
    """
    The place of one worker: who is in it, and when the next one may come.
    """

    worker: WorkerProcess | None = None
    pidfd: int | None = None
    not_before: float = 0.0
    began: float = 0.0
    deaths: int = 0


class Supervisor:
    """
    Keeps a number of workers alive: a dead one is replaced, after a pause that
    grows while they go on dying young.

    Args:
        start: starts one worker.
        processes: how many.
        signals: when to stop; the wish is passed on to the workers.
        pause: seconds before the first replacement, and the bound of that.
        steady: seconds of life after which a death counts as the first again.
    """

    def __init__(
        self,
        start: Callable[[], WorkerProcess],
        *,
        processes: int,
        signals: StopSignals,
        pause: tuple[float, float] = (0.5, 30.0),
        steady: float = 30.0,
    ) -> None:
        self._start = start
        self._slots = [_Slot() for _ in range(processes)]
        self._signals = signals
        self._pause = pause
        self._steady = steady
        self._was_ready = False
        self._hopeless = False

    def run(self, on_ready: Callable[[], None] | None = None) -> int:
        """
        Keep the workers until this process is told to stop.

        Args:
            on_ready: called once, when all of them take jobs.

        Returns:
            `EXIT_OK`; `EXIT_UNFINISHED` where a worker left a job unfinished;
            `EXIT_ERROR` where one could not even begin.
        """
        while not self._signals.requested:
            for slot in self._slots:
                self._tend(slot)
            if self._hopeless:
                self._stop(order=True)
                return EXIT_ERROR
            if not self._was_ready and self._all_ready():
                self._was_ready = True
                if on_ready is not None:
                    on_ready()
            self._sleep()
        return self._stop(order=False)

    # -- while they run

    def _tend(self, slot: _Slot) -> None:
        now = time.monotonic()
        if slot.worker is not None and not slot.worker.alive:
            self._bury(slot, now)
        if slot.worker is None and not self._hopeless and now >= slot.not_before:
            slot.worker, slot.began = self._start(), now
            slot.pidfd = open_pidfd(slot.worker.pid)

    def _bury(self, slot: _Slot, now: float) -> None:
        assert slot.worker is not None
        if not (self._was_ready or slot.worker.ready) and slot.worker.exit_code == EXIT_ERROR:
            # One that could not begin at all will not do better the next time.
            self._hopeless = True
        young = now - slot.began < self._steady
        slot.deaths = slot.deaths + 1 if young else 1
        first, longest = self._pause
        pause = min(first * 2.0 ** (slot.deaths - 1), longest)
        slot.not_before = now + pause
        _log.warning(
            "worker process %d ended (exit code %s): another one starts in %.1f s",
            slot.worker.pid,
            slot.worker.exit_code,
            pause,
        )
        self._clear(slot)

    def _all_ready(self) -> bool:
        return all(slot.worker is not None and slot.worker.ready for slot in self._slots)

    def _sleep(self) -> None:
        seconds = _LOOK_INTERVAL if self._was_ready else 0.02
        waiting = [slot.not_before - time.monotonic() for slot in self._slots if not slot.worker]
        fds = [slot.pidfd for slot in self._slots if slot.pidfd is not None]
        self._signals.wait(max(0.0, min([seconds, *waiting])), fds)

    # -- at the end

    def _stop(self, *, order: bool) -> int:
        workers = [slot.worker for slot in self._slots if slot.worker is not None]
        for worker in workers:
            worker.term()
        while any(worker.alive for worker in workers):
            if order or self._signals.ordered:
                self._make_them(workers)
                break
            time.sleep(0.02)
        for slot in self._slots:
            self._clear(slot)
        codes = {worker.exit_code for worker in workers}
        return EXIT_OK if codes <= {EXIT_OK} else EXIT_UNFINISHED

    def _make_them(self, workers: list[WorkerProcess]) -> None:
        for worker in workers:
            worker.order()
        deadline = time.monotonic() + _LAST_GRACE
        for worker in workers:
            worker.stop(timeout=max(0.0, deadline - time.monotonic()))

    def _clear(self, slot: _Slot) -> None:
        if slot.pidfd is not None:
            os.close(slot.pidfd)
        slot.worker = slot.pidfd = None
