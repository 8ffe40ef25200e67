"""
Real processes that a test starts, hurts, and never leaves behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from chariots_core.testing.conformance.config import VARIABLE


def wait_until(
    predicate: Callable[[], object],
    *,
    timeout: float = 10.0,
    message: str | Callable[[], str] = "",
    interval: float = 0.01,
) -> None:
    """
    Return as soon as *predicate* is true.

    Raises:
        AssertionError: it was not, for *timeout* seconds; *message* says what
            was waited for, or is called for it then.
    """
    end = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > end:
            told = message() if callable(message) else message
            raise AssertionError(f"not within {timeout:.1f} s: {told or predicate!r}")
        time.sleep(interval)


def alive(pid: int) -> bool:
    """
    Whether a process runs: one that ended and waits for its parent does not.
    """
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def halt(pids: Iterable[int]) -> None:
    """
    SIGSTOP to processes, and return once every thread of theirs stands still: one that
    another core runs goes on for a moment, and may answer what the test sends next.

    Raises:
        AssertionError: one of them goes on.
    """
    halted = list(pids)
    _send(signal.SIGSTOP, halted)
    wait_until(lambda: not any(map(_runs, halted)), message=f"the processes {halted} stand still")


def _runs(pid: int) -> bool:
    if not psutil.LINUX:
        return alive(pid) and psutil.Process(pid).status() != psutil.STATUS_STOPPED
    with contextlib.suppress(OSError):
        states = [
            # The state follows the name, which is in parentheses and may hold any.
            file.read_text().rpartition(")")[2].split()[0]
            for file in Path(f"/proc/{pid}/task").glob("*/stat")
        ]
        # One that waits in the kernel (D) stops before it runs again.
        return not set(states) <= {"T", "t", "D", "Z", "X"}
    return alive(pid)


class Process:
    """
    One started process with its descendants and its log.

    Attributes:
        name: what the test calls it.
        log: the file that takes its output.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        pipes: bool = False,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        pipe = subprocess.PIPE if pipes else None
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                argv,
                cwd=folder,
                env=_environment(environment),
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """
        The process itself, without descendants.
        """
        return self.popen.pid

    @property
    def lives(self) -> bool:
        """
        Whether it has not ended.
        """
        return self.popen.poll() is None

    @property
    def children(self) -> list[int]:
        """
        The descendants that live.
        """
        try:
            found = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [child.pid for child in found if alive(child.pid)]

    @property
    def pids(self) -> list[int]:
        """
        The process and its descendants, as far as they live.
        """
        return [pid for pid in (self.pid, *self.children) if alive(pid)]

    def term(self) -> None:
        """
        Ask it to stop: SIGTERM, to the process alone.
        """
        _send(signal.SIGTERM, [self.pid])

    def kill9(self) -> None:
        """
        SIGKILL to the process alone, as the out-of-memory killer would.
        """
        _send(signal.SIGKILL, [self.pid])

    def kill9_child(self) -> None:
        """
        SIGKILL to the descendants alone.
        """
        _send(signal.SIGKILL, self.children)

    def kill_tree(self) -> None:
        """
        SIGKILL to all at once, as when a container ends.
        """
        # Stopped first: nobody sees the death of another, or starts a new one.
        for pids in ([self.pid], self.children):
            _send(signal.SIGSTOP, pids)
        _send(signal.SIGKILL, self.pids)
        self.popen.wait(10)

    def stop(self) -> None:
        """
        SIGSTOP to all: a machine that sleeps. They stand still on return.
        """
        halt([self.pid])
        halt(self.children)

    def cont(self) -> None:
        """
        SIGCONT to all.
        """
        _send(signal.SIGCONT, self.pids)

    def wait(self, timeout: float) -> int:
        """
        Its exit code, once it has ended; negative: the signal that ended it.

        Raises:
            AssertionError: it lives on.
        """
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} lives on after {timeout:.1f} s") from None

    def close(self) -> None:
        """
        End it and its descendants. Idempotent.
        """
        if self.popen.poll() is None:
            self.kill_tree()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def output(self, limit: int = 8000) -> str:
        """
        The end of its log.
        """
        text = self.log.read_text(errors="replace")
        return text if len(text) <= limit else f"[...]{text[-limit:]}"


class Workers:
    """
    Worker processes that a test started together.

    Attributes:
        processes: one for each worker.
    """

    def __init__(
        self,
        processes: Sequence[Process],
        *,
        ready: Callable[[Process], bool],
        timeout: float,
    ) -> None:
        self.processes = list(processes)
        self._ready = ready
        self._timeout = timeout

    @property
    def pids(self) -> list[int]:
        """
        All processes of all workers that live.
        """
        return [pid for process in self.processes for pid in process.pids]

    def term(self) -> None:
        """
        Ask every worker to stop.
        """
        self._each(Process.term)

    def kill9(self) -> None:
        """
        Kill every supervising process, and nothing else.
        """
        self._each(Process.kill9)

    def kill9_child(self) -> None:
        """
        Kill what the supervising processes have started.
        """
        self._each(Process.kill9_child)

    def kill_tree(self) -> None:
        """
        Kill every worker with all it has started.
        """
        self._each(Process.kill_tree)

    def stop(self) -> None:
        """
        Halt every worker with all it has started.
        """
        self._each(Process.stop)

    def cont(self) -> None:
        """
        Let halted workers go on.
        """
        self._each(Process.cont)

    def wait(self, timeout: float | None = None) -> list[int]:
        """
        The exit codes, once all have ended.
        """
        return [process.wait(timeout or self._timeout) for process in self.processes]

    def wait_ready(self, timeout: float | None = None) -> Workers:
        """
        Return once every worker has told the store that it lives.
        """
        for process in self.processes:
            wait_until(
                lambda process=process: self._is_ready(process),  # type: ignore[misc]
                timeout=timeout or self._timeout,
                message=f"{process.name} is ready; its log: {process.output()}",
            )
        return self

    def close(self) -> None:
        """
        End all. Idempotent.
        """
        self._each(Process.close)

    def _is_ready(self, process: Process) -> bool:
        code = process.popen.poll()
        if code is not None:
            raise AssertionError(f"{process.name} ended with {code}: {process.output()}")
        return self._ready(process)

    def _each(self, action: Callable[[Process], None]) -> None:
        for process in self.processes:
            action(process)


def end_orphans(mark: str) -> list[int]:
    """
    Kill processes that were started with *mark* in their configuration and lost
    their parent; return their ids.
    """
    found = list(_marked(mark))
    _send(signal.SIGKILL, found)
    return found


def _marked(mark: str) -> Iterator[int]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and mark in process.environ().get(VARIABLE, ""):
                yield process.pid


def _send(number: signal.Signals, pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    # The checkout need not be installed: children look where this process looks.
    path = os.pathsep.join(entry for entry in sys.path if entry)
    ours = {name: text for name, text in os.environ.items() if not name.startswith("CHARIOTS_")}
    return {**ours, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **extra}
