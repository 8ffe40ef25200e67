"""
A worker that this process has started: wait for it, stop it, read what it wrote.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from chariots_core.errors import BackendUnavailable
from chariots_core.workers.process import EXIT_ERROR
from chariots_core.workers.signals import ASK, ORDER, poll

#: How much of what a worker wrote a message may quote, and a handle keeps.
_TAIL: Final = 2000
_KEPT: Final = 1 << 20

#: Seconds that it may take to settle its job once it was ordered to stop.
_LAST_GRACE: Final = 3.0

#: The workers that this process started, for its end and its forks.
_started: Final[set[WorkerProcess]] = set()


def started_workers() -> list[WorkerProcess]:
    """
    Return the workers that this process has started and that have not ended.
    """
    return [worker for worker in list(_started) if worker.alive]


class WorkerProcess:
    """
    A worker that this process started: wait for it, stop it, read what it wrote.

    As a context manager it stops the worker at the end of the block.

    Args:
        pid: its process id.
        lifeline: the writing end of a pipe; the worker ends when it is closed.
        ready: the reading end of a pipe on which the worker says that it is ready.
        log: where its output goes; ``None``: where this process's goes.

    Attributes:
        jobs_key: the jobs that it runs: `BaseWorkerPool.jobs_key`; ``None``: not known.
        creator: the code that created the app, as the app describes it.
    """

    jobs_key: tuple[str, str, str] | None = None
    creator: object = None

    def __init__(self, pid: int, *, lifeline: int, ready: int, log: IO[bytes] | None) -> None:
        self.pid = pid
        self._owner = os.getpid()
        self._lifeline: int | None = lifeline
        self._ready: int | None = ready
        self._was_ready = False
        self._last_words = ""
        self._log = log
        self._exit_code: int | None = None
        self._lock = threading.Lock()
        _started.add(self)

    def __repr__(self) -> str:
        code = self.exit_code
        state = "alive" if code is None else f"exit code {code}"
        return f"<WorkerProcess {self.pid}, {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # -- what it is

    @property
    def exit_code(self) -> int | None:
        """
        Its exit code, negative for the signal that killed it; ``None`` while it lives.
        """
        with self._lock:
            if self._exit_code is None:
                self._exit_code = _reap(self.pid)
                if self._exit_code is not None:
                    self._release()
            return self._exit_code

    @property
    def alive(self) -> bool:
        """
        Whether it has not ended.
        """
        return self.exit_code is None

    @property
    def ready(self) -> bool:
        """
        Whether it has said that it takes jobs.
        """
        with self._lock:
            return self._hear_ready(0.0)

    @property
    def pids(self) -> list[int]:
        """
        Its process id, then those of its children and their children, as far as
        the system tells.
        """
        return [self.pid, *_descendants(self.pid)] if self.alive else []

    @property
    def output(self) -> str:
        """
        What it has written so far, logs and errors, the newest if it is much;
        empty where it writes to this process's own output.
        """
        if self._log is None or self._log.closed:
            return self._last_words
        size = os.fstat(self._log.fileno()).st_size
        start = max(0, size - _KEPT)
        return os.pread(self._log.fileno(), size - start, start).decode(errors="replace")

    # -- waiting

    def wait_ready(self, timeout: float = 30.0) -> Self:
        """
        Return when the worker will take a job now.

        Raises:
            BackendUnavailable: it ended, or is not ready in time; the message
                quotes what it wrote.
        """
        if not self._hear_ready(timeout):
            ended = self._ready is None or bool(poll([self._ready], 0.0))
            if ended:
                self.wait(timeout=5.0)
            raise BackendUnavailable(
                f"worker process {self.pid} {'ended before it was' if ended else 'is not yet'} "
                f"ready ({self!r}); it wrote: {self.output[-_TAIL:].strip() or 'nothing'}"
            )
        return self

    def wait(self, timeout: float | None = None) -> int | None:
        """
        Wait for its end.

        Returns:
            Its exit code; ``None`` if it still lives after *timeout* seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.exit_code) is None:
            if deadline is not None and time.monotonic() >= deadline:
                return None
            time.sleep(0.01)
        return code

    # -- stopping

    def term(self) -> None:
        """
        Ask it to stop at the end of its job; to ask twice is to ask once.

        This goes by a pipe and is no signal, so that whoever signals all
        processes at once, and this one passes the wish on, asked once as well.
        """
        self._tell(ASK)

    def order(self) -> None:
        """
        Have it stop now, within a few seconds, and settle its job.
        """
        self._tell(ORDER)

    def kill(self) -> None:
        """
        Kill it; its children end with it.
        """
        # The lock keeps the id from being reaped, and reused, in between.
        with self._lock:
            if self._exit_code is None and self._owner == os.getpid():
                os.kill(self.pid, signal.SIGKILL)

    def stop(self, timeout: float = 10.0) -> int:
        """
        Ask it to stop, and see to it that it has ended some *timeout* seconds later.

        Returns:
            Its exit code.
        """
        if self._owner != os.getpid():
            return 0
        self.term()
        code = self.wait(timeout)
        if code is None:
            self.order()
            code = self.wait(_LAST_GRACE)
        if code is None:
            self.kill()
            code = self.wait()
        assert code is not None
        return code

    def _tell(self, word: bytes) -> None:
        with self._lock:
            if self._lifeline is not None:
                # One that has just ended listens no more.
                with suppress(BrokenPipeError):
                    os.write(self._lifeline, word)

    # -- inside

    def _release(self) -> None:
        self._hear_ready(0.0)
        for fd in (self._lifeline, self._ready):
            if fd is not None:
                os.close(fd)
        self._lifeline = self._ready = None
        if self._log is not None:
            self._last_words = self.output
            self._log.close()
        _started.discard(self)

    def _hear_ready(self, timeout: float) -> bool:
        if not self._was_ready and self._ready is not None and poll([self._ready], timeout):
            # At the end of the worker the pipe can be read, too, and holds nothing.
            self._was_ready = os.read(self._ready, 1) != b""
        return self._was_ready

    def forget(self) -> None:
        """
        In a fork of the owner: let go of what would keep the worker alive.
        """
        self._lock = threading.Lock()
        self._exit_code = 0
        self._release()


def _reap(pid: int) -> int | None:
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        # Somebody else reaped it: how it ended is not known.
        return EXIT_ERROR
    return os.waitstatus_to_exitcode(status) if found else None


def _descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = list(parents.get(pid, ()))
    for child in found:
        found.extend(parents.get(child, ()))
    return found


def _stop_all() -> None:
    mine = [worker for worker in _started if worker._owner == os.getpid()]  # noqa: SLF001
    for worker in mine:
        worker.term()
    for worker in mine:
        worker.stop(timeout=5.0)


def _forget_all() -> None:
    for worker in list(_started):
        worker.forget()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_forget_all)
