"""
How a worker's loop hears, from a signal handler, that it shall stop.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable
from typing import Final

#: Seconds that an aborted worker may still wait to tell its store.
_LAST_WORDS: Final = 1.0


class StopSwitch:
    """
    How a signal handler tells the loop that the worker shall stop.

    Args:
        listen: called before each answer, for wishes that come without a
            signal: it may call `stop` and `abort`.
    """

    def __init__(self, listen: Callable[[], None] = lambda: None) -> None:
        self._listen = listen
        self._stopping = False
        self._aborted_at: float | None = None
        self.fd, self._end = os.pipe()
        for end in (self.fd, self._end):
            os.set_blocking(end, False)

    @property
    def stopping(self) -> bool:
        """
        Whether nothing more is to begin.
        """
        if not self._stopping:
            self._listen()
        return self._stopping

    @property
    def aborting(self) -> bool:
        """
        Whether what has begun is to be given up.
        """
        if self._aborted_at is None:
            self._listen()
        return self._aborted_at is not None

    def is_too_late(self) -> bool:
        """
        Whether the worker was to stop at once, and has had a moment since then.
        """
        if not self.aborting or self._aborted_at is None:
            return False
        return time.monotonic() >= self._aborted_at + _LAST_WORDS

    def stop(self) -> None:
        """
        Finish what has begun; begin nothing.
        """
        self._stopping = True
        self.wake()

    def abort(self) -> None:
        """
        Give up what has begun, too.
        """
        if self._aborted_at is None:
            self._aborted_at = time.monotonic()
        self.stop()

    def wake(self) -> None:
        """
        End a wait that is under way.
        """
        # Where it is full of calls that nobody has answered yet, one more says nothing new.
        # After `close` the number may be another file's.
        if self._end >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._end, b".")

    def drain(self) -> None:
        """
        Be ready for the next call.
        """
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 1 << 16)

    def pause(self, seconds: float) -> bool:
        """
        Wait, unless `abort` was or is called: then return false at once.
        """
        deadline = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self.fd, select.POLLIN)
        while not self.aborting and (left := deadline - time.monotonic()) > 0:
            poller.poll(left * 1000)
            self.drain()
        return not self.aborting

    def close(self) -> None:
        """
        Give the descriptors back; whoever calls later is heard by the flags only.
        """
        # A signal handler may come in between: the number goes before the descriptor.
        end, self._end = self._end, -1
        if end >= 0:
            os.close(end)
            os.close(self.fd)
