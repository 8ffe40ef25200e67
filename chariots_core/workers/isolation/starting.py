"""
How a child comes to be: a copy of this process, or a new interpreter.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import attrs

from chariots_core.errors import AppLoadError, ConfigurationError
from chariots_core.workers.contracts import RunnerApp, RunnerSettings
from chariots_core.workers.isolation.board import ProgressBoard
from chariots_core.workers.isolation.child import JobServer, become_child, leave_parent
from chariots_core.workers.isolation.children import LIVE, Child, ChildLost
from chariots_core.workers.isolation.unix import flush_output
from chariots_core.workers.isolation.wire import Broken, Frame, Hello, Ready
from chariots_core.workers.switch import StopSwitch
from chariots_core.workers.watch import Watch

logger = logging.getLogger(__name__)

Method: TypeAlias = Literal["fork", "spawn"]

#: Seconds between two looks at what else is to be done while a child gets ready.
_ATTEND_INTERVAL: Final = 0.2


class StartAborted(Exception):
    """
    The worker was asked to stop before its child was ready; the child is gone.
    """


@attrs.frozen(kw_only=True)
class Host:
    """
    What a process that starts children has.

    Attributes:
        app: what runs the jobs; a spawned child imports it anew.
        settings: see `RunnerSettings`.
        switch: tells that the worker shall stop.
        attend: called now and then while a child is waited for.
        after_fork: called in each forked child.
        watch: where jobs of isolation ``thread`` run in the thread that asks for them.
    """

    app: RunnerApp
    settings: RunnerSettings
    switch: StopSwitch
    attend: Callable[[], None] = lambda: None
    after_fork: Callable[[], None] = lambda: None
    watch: Watch | None = None


def choose_method(settings: RunnerSettings) -> Method:
    """
    How a child is started from here, now.

    A copy of a process with threads may hold locks that nobody will release,
    so ``"auto"`` forks only from a process with one thread.

    Raises:
        ConfigurationError: it takes a new interpreter, and nobody said how to
            import the app there.
    """
    method = settings.start_method
    if method == "auto":
        method = "fork" if threading.active_count() == 1 else "spawn"
    if method == "spawn" and settings.app_spec is None:
        raise ConfigurationError(
            f"a child cannot be spawned with app_spec=None (this process has "
            f"{threading.active_count()} threads): name the app as 'package.module:attribute', "
            "or run jobs in a process without threads, or set start_method='fork'"
        )
    return method


def start_child(host: Host, method: Method) -> Child:
    """
    A child that takes jobs once it is ready; see `await_ready`.

    Args:
        host: what it is started for.
        method: see `choose_method`.
    """
    child = _fork(host) if method == "fork" else _spawn(host)
    # What is copied for one job has all that its parent has.
    child.is_ready = method == "fork" and host.settings.isolation == "fresh"
    return child


def await_ready(child: Child, host: Host) -> None:
    """
    Wait until a child has imported the app, where it has to, and loaded its pipelines.

    Raises:
        AppLoadError: it could not, or not in time.
        StartAborted: the worker is to stop before that.
    """
    app = host.settings.app_spec or host.app.name
    patience = host.settings.start_timeout
    deadline = time.monotonic() + patience
    while (left := deadline - time.monotonic()) > 0:
        # Nothing has begun: a wish to stop need not wait for the models.
        if host.switch.stopping:
            raise StartAborted
        try:
            frame = child.wait(min(left, _ATTEND_INTERVAL))
        except ChildLost as lost:
            raise AppLoadError(
                f"a child that loads app {app!r} ended with {lost}: {child.output()}"
            ) from lost
        if frame is not None and _is_ready(frame, app):
            child.is_ready = True
            _tell(child.output(), app)
            return
        host.switch.drain()
        host.attend()
    raise AppLoadError(
        f"a child has not loaded app {app!r} within {patience:g} s: "
        "raise start_timeout, or load less"
    )


def _is_ready(frame: Frame, app: str) -> bool:
    if isinstance(frame.header, Broken):
        error = frame.header.error
        raise AppLoadError(
            f"a child cannot import app {app!r}: {error.type}: {error.message}\n"
            f"{error.traceback or ''}"
        )
    return isinstance(frame.header, Ready)


def _tell(output: str, app: str) -> None:
    """
    Pass on what a child wrote before its first job: no job's record will have it.
    """
    if output:
        logger.info(
            "a child that loaded app %r wrote: %s",
            app,
            output.rstrip(),
            extra={"action": "child_ready"},
        )


@attrs.frozen(kw_only=True)
class _Link:
    """
    What connects a child with its parent, before either end is given up.
    """

    ours: socket.socket
    theirs: socket.socket
    output: int
    output_end: int
    board: ProgressBoard

    @classmethod
    def make(cls) -> _Link:
        ours, theirs = socket.socketpair()
        output, output_end = os.pipe()
        board = ProgressBoard.create()
        return cls(ours=ours, theirs=theirs, output=output, output_end=output_end, board=board)

    def child(self, pid: int, wake: int) -> Child:
        return Child(pid=pid, control=self.ours, output=self.output, board=self.board, wake=wake)

    def close_ours(self) -> None:
        self.ours.close()
        os.close(self.output)

    def close_theirs(self) -> None:
        self.theirs.close()
        os.close(self.output_end)

    def close(self) -> None:
        self.close_ours()
        self.close_theirs()
        self.board.close()


# -- fork


def _fork(host: Host) -> Child:
    link = _Link.make()
    parent = os.getpid()
    flush_output()
    # A handler of the parent's shall not run in the child.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = _fork_here()
        if pid == 0:
            _run_and_exit(lambda: _serve(host, parent, link))
    except OSError:
        link.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    link.close_theirs()
    child = link.child(pid, host.switch.fd)
    child.keep_output(host.settings.output_limit)
    return child


def _fork_here() -> int:
    with warnings.catch_warnings():
        # Threads of libraries that do not run Python, which the warning counts
        # too, are ended by their own fork handlers.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _run_and_exit(serve: Callable[[], None]) -> None:
    """
    Run *serve* and end the process: nothing of the parent's may run here.
    """
    code = 1
    try:
        serve()
        code = 0
    except ConnectionError:
        # The runner is gone, or does not want the answer any more.
        code = 0
    except BaseException:  # noqa: BLE001  it is shown, and the process ends
        traceback.print_exc()
    finally:
        flush_output()
        os._exit(code)


def _serve(host: Host, parent: int, link: _Link) -> None:
    os.setsid()
    become_child(parent=parent, control=link.theirs.fileno())
    for sibling in list(LIVE):
        sibling.release()
    leave_parent(output=link.output_end)
    link.close_ours()
    os.close(link.output_end)
    try:
        host.after_fork()
    except Exception:
        logger.exception("a pool's after_fork_in_child failed; the child goes on")
    server = JobServer(host.app, link.theirs, link.board)
    if host.settings.isolation == "warm":
        server.get_ready()
    server.serve()


# -- spawn


def _spawn(host: Host) -> Child:
    link = _Link.make()
    numbers = [str(n) for n in (os.getpid(), link.theirs.fileno(), link.board.fd)]
    options = [part for option in sys.warnoptions for part in ("-W", option)]
    try:
        process = subprocess.Popen(
            [sys.executable, *options, "-m", "chariots_core.workers.isolation.spawned", *numbers],
            stdin=subprocess.DEVNULL,
            stdout=link.output_end,
            stderr=link.output_end,
            pass_fds=(link.theirs.fileno(), link.board.fd),
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except OSError:
        link.close()
        raise
    # The child is reaped by its own object.
    process.returncode = 0
    link.close_theirs()
    child = link.child(process.pid, host.switch.fd)
    child.keep_output(host.settings.output_limit)
    child.send(
        Hello(
            app_spec=host.settings.app_spec or "",
            path=sys.path,
            python_path=os.environ.get("PYTHONPATH"),
        )
    )
    return child
