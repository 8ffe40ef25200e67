"""
When a worker is to stop: signals, a period of grace, and the end of its parent.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Final, Self

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

#: What a parent writes on the lifeline to request a stop, and to order it.
ASK: Final = b"a"
ORDER: Final = b"o"


class StopSignals:
    """
    Listens for the wish that this process stop, as a context manager.

    SIGTERM or SIGINT is a request: finish what is being done. A second one, the
    end of the grace, or the end of the parent is an order: stop now. The parent
    may say either by a byte, which does not count as a signal: a service manager
    that signals every process at once gives one request, not two. There is no
    thread; who waits, waits by `wait`, which any of these ends.

    Args:
        grace: seconds between the request and the order; ``None``: no bound.
        lifeline: the reading end of a pipe whose other end only the parent holds.
        last: this process ends afterwards: one more signal shall not spoil its
            exit code.

    Attributes:
        on_request: called at the request, perhaps from a signal handler.
        on_order: called at each order, likewise.
    """

    on_request: Callable[[], None]
    on_order: Callable[[], None]

    def __init__(
        self, *, grace: float | None = None, lifeline: int | None = None, last: bool = False
    ) -> None:
        self.on_request = self.on_order = lambda: None
        self._last = last
        self._grace = grace
        self._lifeline = lifeline
        self._look = select.poll()
        if lifeline is not None:
            self._look.register(lifeline, select.POLLIN)
        self._count = 0
        self._asked = False
        self._deadline: float | None = None
        self._released = False
        # Written by the system at each signal; and by the handler, once it has run.
        self._wakeup: tuple[int, int] | None = None
        self._told: tuple[int, int] | None = None
        self._before: dict[int, Any] = {}
        self._before_fd = -1

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            # Only the main thread may handle signals; elsewhere `request` stops it.
            return self
        self._told, self._wakeup = _pipe(), _pipe()
        self._before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        self._before_fd = signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._wakeup is None:
            return
        signal.set_wakeup_fd(self._before_fd)
        for number, handler in self._before.items():
            before = signal.SIG_DFL if handler is None else handler
            signal.signal(number, signal.SIG_IGN if self._last else before)
        for fd in (*self._wakeup, *(self._told or ())):
            os.close(fd)
        self._wakeup = self._told = None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.request()
        if self._told is not None:
            with suppress(BlockingIOError):
                os.write(self._told[1], b".")

    def request(self) -> None:
        """
        Wish that the process stop; the second wish is an order.
        """
        self._count += 1
        if self._count > 1:
            self.on_order()
        else:
            self._begin_stop()

    @property
    def requested(self) -> bool:
        """
        Whether the process should take up nothing new.
        """
        return self.ordered or self._asked

    @property
    def ordered(self) -> bool:
        """
        Whether the process should stop now, whatever it does.
        """
        self._listen()
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return True
        return self._count > 1 or self._released

    def say_finishing(self, what: str) -> None:
        """
        Tell whoever sent a signal why this process does not end yet, and how it would.

        It may be called from a handler: streams, and with them logs, are not theirs to use.
        """
        if not self._count:
            return
        bound = "" if self._grace is None else f" for at most {self._grace:g} s"
        with suppress(OSError):
            os.write(2, f"finishing {what}{bound}; Ctrl-C again ends it now\n".encode())

    def wait(self, seconds: float, fds: Sequence[int] = ()) -> list[int]:
        """
        Wait until one of *fds* can be read, a signal comes, or the time is over.

        Returns:
            Those of *fds* that can be read.
        """
        # The main thread handles signals, and is woken for that; others hear of it then.
        is_main = threading.current_thread() is threading.main_thread()
        pipe = self._wakeup if is_main else self._told
        own = [pipe[0]] if pipe else []
        if self._lifeline is not None and not self._released:
            own.append(self._lifeline)
        ready = poll([*fds, *own], 0.0 if self.requested else max(0.0, seconds))
        if pipe and pipe[0] in ready:
            drain(pipe[0])
        return [fd for fd in fds if fd in ready]

    def heed(self, seconds: float, fd: int) -> None:
        """
        Wait in the main thread until a signal comes, *fd* can be read, or the time is
        over, while another thread waits by `wait`.
        """
        own = [self._wakeup[0]] if self._wakeup else []
        for ready in poll([fd, *own], seconds).intersection(own):
            drain(ready)

    def _listen(self) -> None:
        while not self._released and self._lifeline is not None and self._look.poll(0):
            if os.read(self._lifeline, 1) == ASK:
                self._begin_stop()
            else:
                self._released = True
                self.on_order()

    def _begin_stop(self) -> None:
        if self._asked:
            return
        self._asked = True
        if self._grace is not None:
            self._deadline = time.monotonic() + self._grace
        self.on_request()


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


def poll(fds: Sequence[int], seconds: float) -> set[int]:
    """
    Those of *fds* that can be read, or whose other end is closed, within *seconds*.
    """
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    # Rounded up: to poll for 0 ms again and again would be to spin.
    return {fd for fd, _ in poller.poll(-int(-seconds * 1000 // 1))}


def drain(fd: int) -> None:
    """
    Read and forget all that a pipe, which does not block, holds.
    """
    try:
        while os.read(fd, 4096):
            pass
    except BlockingIOError:
        pass
