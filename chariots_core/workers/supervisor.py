"""
Processes that one process starts, keeps alive, and takes along when it ends.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs

from chariots_core.errors import ChariotsError
from chariots_core.workers.isolation.unix import open_pidfd
from chariots_core.workers.process import EXIT_OK, EXIT_UNFINISHED
from chariots_core.workers.signals import StopSignals

_log = logging.getLogger(__name__)

#: Seconds that processes may take to put in order what they were ordered to stop.
LAST_GRACE: Final = 5.0

#: Seconds after which it is told that something is still under way.
_SAY_AFTER: Final = 1.0

#: The longest that the loop sleeps: where the system has no descriptors for
#: processes, it is how long a death goes unseen.
_LOOK_INTERVAL: Final = 0.5


class ChildFailed(ChariotsError):
    """
    A process that is needed could not even begin.
    """

    code = "child-failed"


class Process(Protocol):
    """
    A child of this process, as its supervisor sees it.
    """

    pid: int

    @property
    def alive(self) -> bool:
        """
        Whether it has not ended.
        """

    @property
    def ready(self) -> bool:
        """
        Whether it has said that it does its work.
        """

    @property
    def exit_code(self) -> int | None:
        """
        Its exit code, negative for a signal; ``None`` while it lives.
        """

    def term(self) -> None:
        """
        Ask it to stop once what is under way is finished.
        """

    def order(self) -> None:
        """
        Have it stop now, and put in order what it leaves unfinished.
        """

    def kill(self) -> None:
        """
        Kill it, and what it has started.
        """


@attrs.define
class Slot:
    """
    The place of one process: how it is started, and who is in it.

    Attributes:
        what: what it does, for messages.
        start: starts it.
    """

    what: str
    start: Callable[[], Process]
    process: Process | None = None
    pidfd: int | None = None
    began: float = 0.0
    not_before: float = 0.0
    deaths: int = 0
    was_ready: bool = False

    def fill(self, now: float) -> None:
        """
        Start its process, if there is none and it is time.
        """
        if self.process is None and now >= self.not_before:
            self.process, self.began = self.start(), now
            self.pidfd = open_pidfd(self.process.pid)

    def clear(self) -> None:
        """
        Let go of who is in it.
        """
        if self.pidfd is not None:
            os.close(self.pidfd)
        self.process = self.pidfd = None


class Supervisor:
    """
    Keeps every slot filled: a dead process is replaced, after a pause that
    grows while its successors go on dying young.

    At the end each process is asked to stop; at the second signal, or the end
    of the grace, it is ordered to, and killed where that does not help.

    Args:
        slots: the processes, in the order in which they are started and stopped.
        signals: when to stop, and for how long to wait.
        pause: seconds before the first replacement, and the bound of that.
        steady: seconds of life after which a death counts as the first again.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        *,
        signals: StopSignals,
        pause: tuple[float, float] = (0.5, 30.0),
        steady: float = 30.0,
    ) -> None:
        self._slots = slots
        self._signals = signals
        self._pause = pause
        self._steady = steady

    def run(self, on_ready: Callable[[], bool | None]) -> int:
        """
        Keep the processes until this one is told to stop; none is left then.

        Args:
            on_ready: called when all of them are ready, again and again while
                it answers false.

        Returns:
            `EXIT_OK`; `EXIT_UNFINISHED` where something was left unfinished.

        Raises:
            ChildFailed: a process ended by itself before it was ever ready.
        """
        told = False
        try:
            while not self._signals.requested:
                for slot in self._slots:
                    self._tend(slot)
                if not told and all(slot.was_ready for slot in self._slots):
                    told = on_ready() is not False
                self._sleep(_LOOK_INTERVAL if told else 0.02)
        except BaseException:
            self._stop(order=True)
            raise
        return self._stop(order=False)

    # -- while they run

    def _tend(self, slot: Slot) -> None:
        now = time.monotonic()
        if slot.process is not None:
            slot.was_ready = slot.was_ready or slot.process.ready
            if not slot.process.alive:
                self._bury(slot, slot.process, now)
        slot.fill(now)

    def _bury(self, slot: Slot, process: Process, now: float) -> None:
        slot.clear()
        # What it said may have been heard only by now.
        slot.was_ready = slot.was_ready or process.ready
        code = process.exit_code
        asked = self._signals.requested
        if not slot.was_ready and not asked and (code is None or code >= 0):
            # One that could not begin at all will not do better the next time.
            raise ChildFailed(
                f"the {slot.what} (pid {process.pid}) ended at its start (exit code {code}): "
                "what it wrote says why"
            )
        young = now - slot.began < self._steady
        slot.deaths = slot.deaths + 1 if young else 1
        first, longest = self._pause
        pause = min(first * 2.0 ** min(slot.deaths - 1, 32), longest)
        slot.not_before = now + pause
        _log.warning(
            "the %s (pid %d) ended with exit code %s: another one starts in %.1f s",
            slot.what,
            process.pid,
            code,
            pause,
        )

    def _sleep(self, seconds: float) -> None:
        now = time.monotonic()
        waiting = [slot.not_before - now for slot in self._slots if slot.process is None]
        fds = [slot.pidfd for slot in self._slots if slot.pidfd is not None]
        self._signals.wait(max(0.0, min([seconds, *waiting])), fds)

    # -- at the end

    def _stop(self, *, order: bool) -> int:
        processes = [slot.process for slot in self._slots if slot.process is not None]
        for process in processes:
            process.term()
        if not order:
            self._let_finish(processes)
        living = [process for process in processes if process.alive]
        for process in living:
            process.order()
        deadline = time.monotonic() + LAST_GRACE
        _wait(living, lambda: time.monotonic() >= deadline)
        for process in living:
            process.kill()
        _wait(living, lambda: False)
        for slot in self._slots:
            slot.clear()
        codes = {process.exit_code for process in processes}
        return EXIT_OK if codes <= {EXIT_OK} else EXIT_UNFINISHED

    def _let_finish(self, processes: Sequence[Process]) -> None:
        tell_at = time.monotonic() + _SAY_AFTER
        _wait(processes, lambda: self._signals.ordered or time.monotonic() >= tell_at)
        if not self._signals.ordered and any(process.alive for process in processes):
            self._signals.say_finishing("what is under way")
            _wait(processes, lambda: self._signals.ordered)


def _wait(processes: Sequence[Process], enough: Callable[[], bool]) -> None:
    while any(process.alive for process in processes) and not enough():
        time.sleep(0.01)
