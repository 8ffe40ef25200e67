"""
What children need of the operating system, in one place.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@cache
def _libc() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(None, use_errno=True)
    except (OSError, TypeError):
        return None


def die_with_parent(parent: int) -> bool:
    """
    Have the kernel kill this process when the thread that made it ends.

    Unlike a thread of its own, this works while an op holds the GIL.

    Args:
        parent: the process that this one was made by; if it is gone already,
            this process ends at once.

    Returns:
        Whether the system does that.
    """
    prctl = getattr(_libc(), "prctl", None)
    if prctl is None or prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        return False
    if os.getppid() != parent:
        os._exit(1)
    return True


def watch_parent(fd: int) -> None:
    """
    End this process when the other end of the socket *fd* is closed.

    For systems without `die_with_parent`: a thread, so it waits for the GIL.
    """
    poller = select.poll()
    poller.register(fd, 0)

    def watch() -> None:
        poller.poll()
        os._exit(1)

    threading.Thread(target=watch, name="chariots-parent-watch", daemon=True).start()


def take_over_signals() -> None:
    """
    Forget what the parent does on signals, and leave stopping to it.

    A service manager may send SIGTERM to all processes of a worker at once;
    the job shall still come to its end within the parent's grace. What a job
    starts is stopped by these signals as ever.
    """
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    _ignore_stop_signals()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())


def _ignore_stop_signals() -> None:
    """
    Ignore SIGTERM and SIGINT in this process, and in no other that comes from it.
    """
    pid = os.getpid()

    # Not SIG_IGN, which programs that a job starts would inherit.
    def ignore(number: int, _frame: object) -> None:
        if os.getpid() != pid:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def set_all(handler: Callable[[int, object], None] | signal.Handlers) -> None:
        if os.getpid() == pid and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, handler)

    set_all(ignore)
    # A copy forgets a signal that meets a handler of Python's in its first moments.
    os.register_at_fork(
        before=lambda: set_all(signal.SIG_DFL), after_in_parent=lambda: set_all(ignore)
    )


def flush_output() -> None:
    """
    Push what Python and C still hold of this process's output to its fds.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    if (libc := _libc()) is not None:
        libc.fflush(None)


def kill_group(pid: int) -> None:
    """
    Kill a child that was not yet reaped, and all that is still in its group.
    """
    for kill in (os.kill, os.killpg):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # The group may not exist yet, or hold zombies only.
            continue


def open_pidfd(pid: int) -> int | None:
    """
    A descriptor that becomes readable when the child *pid* ends, where there are such.
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def has_ended(pid: int) -> bool:
    """
    Whether the child *pid* has ended. It is not reaped by the question, except
    where the system cannot tell otherwise.
    """
    try:
        if hasattr(os, "waitid"):
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, pid, flags) is not None
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def describe_exit(status: int) -> str:
    """
    The sentence for a wait status: ``exit code 3``, ``killed by signal 9 (SIGKILL)``.
    """
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    return f"killed by signal {-code} ({name})"


def rss_bytes(pid: int) -> int | None:
    """
    The resident memory of a process, where ``/proc`` tells.
    """
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return None


def pipe_size(fd: int) -> int:
    """
    How many bytes a pipe holds.
    """
    command = getattr(fcntl, "F_GETPIPE_SZ", None)
    return 1 << 16 if command is None else fcntl.fcntl(fd, command)
