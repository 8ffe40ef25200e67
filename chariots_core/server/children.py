"""
A process that this one has forked to run one of its functions.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress

from chariots_core.workers.isolation.unix import die_with_parent, flush_output


class Forked:
    """
    A child that runs a function of this process.

    It leads a session of its own, so that a signal of the terminal reaches it
    by its parent only, and it ends with its parent.

    Args:
        run: what it does; its result is the exit code. It gets a function to
            call when it is ready.
    """

    def __init__(self, run: Callable[[Callable[[], None]], int]) -> None:
        self._exit_code: int | None = None
        self._is_ready = False
        hears, says = os.pipe()
        self._hears: int | None = hears
        os.set_blocking(hears, False)
        parent = os.getpid()
        flush_output()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(hears)
            _be(run, says, parent)
        os.close(says)

    @property
    def alive(self) -> bool:
        """
        Whether it has not ended.
        """
        return self.exit_code is None

    @property
    def ready(self) -> bool:
        """
        Whether it has said that it is ready.
        """
        if not self._is_ready and self._hears is not None:
            with suppress(BlockingIOError):
                self._is_ready = os.read(self._hears, 1) != b""
        return self._is_ready

    @property
    def exit_code(self) -> int | None:
        """
        Its exit code, negative for a signal; ``None`` while it lives.
        """
        if self._exit_code is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self._exit_code = os.waitstatus_to_exitcode(status)
                self._close()
        return self._exit_code

    def term(self) -> None:
        """
        Ask it to stop once what is under way is finished.
        """
        if self.alive:
            os.kill(self.pid, signal.SIGTERM)

    def order(self) -> None:
        """
        Ask once more: it has no other way to stop than the one it is on.
        """
        self.term()

    def kill(self) -> None:
        """
        Kill it, and the processes that it has started.
        """
        if self.alive:
            # It leads its group from its first moments on.
            for kill in (os.kill, os.killpg):
                with suppress(ProcessLookupError, PermissionError):
                    kill(self.pid, signal.SIGKILL)

    def _close(self) -> None:
        # Its last word is heard before the pipe is given up.
        _ = self.ready
        if self._hears is not None:
            os.close(self._hears)
            self._hears = None


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
