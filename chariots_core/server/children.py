"""
Processes that this one has forked, and keeps alive until it is told to stop.
"""

from __future__ import annotations

import logging
import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs

from chariots_core.errors import ChariotsError
from chariots_core.workers.isolation.unix import die_with_parent, flush_output, open_pidfd
from chariots_core.workers.signals import StopSignals

_log = logging.getLogger(__name__)

#: Seconds of life after which an end counts as the first again.
_STEADY: Final = 30.0

#: Seconds that children may take to put in order what they were ordered to stop.
_LAST_GRACE: Final = 5.0
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0

#: The longest that the loop sleeps, where the system cannot wake it by a death.
_LOOK_INTERVAL: Final = 1.0


class ChildFailed(ChariotsError):
    """
    A process that the server needs could not even begin.
    """

    code = "child-failed"


class Process(Protocol):
    """
    A child of this process.
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
        Whether it does its work.
        """

    @property
    def exit_code(self) -> int | None:
        """
        Its exit code, negative for a signal; ``None`` while it lives.
        """

    def term(self) -> None:
        """
        Ask it to stop once what is under way has come to its end.
        """

    def order(self) -> None:
        """
        Have it stop now.
        """

    def kill(self) -> None:
        """
        Kill it.
        """


class Forked:
    """
    A child that runs a function of this process.

    It is in a session of its own, so that a signal of the terminal reaches it
    by its parent only, and it ends with its parent.

    Args:
        run: what it does; its result is the exit code. It gets a function to
            call when it is ready.
    """

    def __init__(self, run: Callable[[Callable[[], None]], int]) -> None:
        self._exit_code: int | None = None
        self._is_ready = False
        self._hears, says = os.pipe()
        os.set_blocking(self._hears, False)
        parent = os.getpid()
        flush_output()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._hears)
            _be(run, says, parent)
        os.close(says)

    @property
    def alive(self) -> bool:
        return self.exit_code is None

    @property
    def ready(self) -> bool:
        if not self._is_ready:
            try:
                self._is_ready = os.read(self._hears, 1) != b""
            except BlockingIOError:
                return False
        return self._is_ready

    @property
    def exit_code(self) -> int | None:
        if self._exit_code is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code

    def term(self) -> None:
        self._signal(signal.SIGTERM)

    def order(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.alive:
            os.kill(self.pid, number)


def _be(run: Callable[[Callable[[], None]], int], says: int, parent: int) -> None:
    code = 1
    try:
        os.setsid()
        die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        code = run(lambda: (os.write(says, b"1"), None)[1])
    except BaseException:  # noqa: BLE001 - nothing of the parent's program may run on here
        traceback.print_exc()
    finally:
        flush_output()
        os._exit(code)


@attrs.define
class Place:
    """
    The place of one child: how it is started, and who is in it.

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

    def tend(self) -> None:
        """
        Fill the place, if it is empty and it is time.

        Raises:
            ChildFailed: the first one ended before it was ready.
        """
        now = time.monotonic()
        if self.process is not None and not self.process.alive:
            self._bury(self.process, now)
        if self.process is None and now >= self.not_before:
            self.process, self.began = self.start(), now
            self.pidfd = open_pidfd(self.process.pid)
        if self.process is not None and not self.was_ready:
            self.was_ready = self.process.ready

    def _bury(self, process: Process, now: float) -> None:
        self.clear()
        if not (self.was_ready or process.ready):
            raise ChildFailed(
                f"the {self.what} ended at its start (exit code {process.exit_code}): "
                "what it wrote says why"
            )
        self.deaths = self.deaths + 1 if now - self.began < _STEADY else 1
        pause = min(_FIRST_PAUSE * 2.0 ** (self.deaths - 1), _LONGEST_PAUSE)
        self.not_before = now + pause
        _log.warning(
            "the %s (pid %d) ended with exit code %s: another one starts in %.1f s",
            self.what,
            process.pid,
            process.exit_code,
            pause,
        )

    def clear(self) -> None:
        """
        Let go of who is in it.
        """
        if self.pidfd is not None:
            os.close(self.pidfd)
        self.process = self.pidfd = None


def keep_alive(places: Sequence[Place], signals: StopSignals, on_ready: Callable[[], bool]) -> None:
    """
    Keep every place filled until this process is told to stop.

    Args:
        places: the children.
        signals: when to stop.
        on_ready: called, once all are ready, until it says true.

    Raises:
        ChildFailed: one could not even begin.
    """
    told = False
    while not signals.requested:
        for place in places:
            place.tend()
        if not told and all(place.was_ready for place in places):
            told = on_ready()
        seconds = _LOOK_INTERVAL if told else 0.02
        now = time.monotonic()
        waits = [place.not_before - now for place in places if place.process is None]
        fds = [place.pidfd for place in places if place.pidfd is not None]
        signals.wait(max(0.0, min([seconds, *waits])), fds)


def stop_all(places: Sequence[Place], signals: StopSignals, grace: float) -> None:
    """
    Ask every child to stop, and see to it that all have ended.

    Args:
        places: the children, in the order in which they are asked.
        signals: a second signal cuts the grace short.
        grace: seconds that they may take.
    """
    processes = [place.process for place in places if place.process is not None]
    for process in processes:
        process.term()
    _wait(processes, grace, lambda: signals.ordered)
    # Whatever is under way: what it leaves can still be put in order.
    for process in processes:
        process.order()
    _wait(processes, _LAST_GRACE, lambda: False)
    for process in processes:
        process.kill()
    _wait(processes, float("inf"), lambda: False)
    for place in places:
        place.clear()


def _wait(processes: Sequence[Process], seconds: float, enough: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while any(process.alive for process in processes):
        if time.monotonic() >= end or enough():
            return
        time.sleep(0.01)
