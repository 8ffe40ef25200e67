"""
The parent's side of a child: start it, talk to it, end it. There are no threads here.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from typing import Final, Literal
from weakref import WeakSet

from chariots_core.errors import AppLoadError, ConfigurationError
from chariots_core.jobs.record import Progress
from chariots_core.workers.contracts import RunnerApp, RunnerSettings
from chariots_core.workers.isolation.board import ProgressBoard
from chariots_core.workers.isolation.child import JobServer, leave_parent, settle_in
from chariots_core.workers.isolation.texts import BoundedText
from chariots_core.workers.isolation.unix import (
    describe_exit,
    flush_output,
    has_ended,
    kill_group,
    open_pidfd,
    rss_bytes,
)
from chariots_core.workers.isolation.wire import (
    Broken,
    Frame,
    FrameReader,
    Header,
    Hello,
    Ready,
    WireError,
    pack,
)

_CHUNK: Final = 1 << 16
#: Reads from one descriptor before the others get their turn.
_TURNS: Final = 16
#: Seconds for which a child may live on after it closed its socket.
_FAREWELL: Final = 0.5
#: Seconds after which a killed child that is not gone is left to the system.
_REAP_PATIENCE: Final = 5.0
#: Seconds between two looks at a child where there are no pidfds.
_LOOK: Final = 0.1


class ChildLost(Exception):
    """
    A child ended, or went silent for good, before it answered.
    """


class Child:
    """
    A process that runs jobs, as its parent holds it.

    Args:
        pid: the process; it leads a group of its own.
        control: the socket to it.
        output: the pipe of all it prints.
        board: where it reports progress.
        wake: a descriptor that ends a wait when it becomes readable.
    """

    def __init__(
        self, *, pid: int, control: socket.socket, output: int, board: ProgressBoard, wake: int
    ) -> None:
        self.pid = pid
        self.jobs = 0
        self._control = control
        self._output = output
        self._board = board
        self._wake = wake
        self._pidfd = open_pidfd(pid)
        self._reader = FrameReader()
        self._unsent = b""
        self._kept = BoundedText(0)
        self._closed_by_child = False
        self._dead = False
        self._status: int | None = None
        control.setblocking(False)
        os.set_blocking(output, False)
        self._poller = select.poll()
        for fd in (control.fileno(), output, wake):
            self._poller.register(fd, select.POLLIN)
        if self._pidfd is not None:
            self._poller.register(self._pidfd, select.POLLIN)
        _LIVE.add(self)

    # -- talking

    def begin(self, header: Header, body: bytes = b"", *, output_limit: int) -> None:
        """
        Send a job, and keep what is printed from here on.
        """
        self.drain_output()
        self._kept = BoundedText(output_limit)
        self._board.clear()
        self.jobs += 1
        self.send(header, body)

    def send(self, header: Header, body: bytes = b"") -> None:
        """
        Send a frame; what the socket does not take now is sent while waiting.
        """
        self._unsent += pack(header, body)
        self._send_on()

    def wait(self, timeout: float) -> Frame | None:
        """
        Wait for a frame, for *timeout* seconds, or until the wake descriptor is readable.

        Raises:
            ChildLost: the child ended or broke the protocol; it is dead now.
        """
        if self._pidfd is None:
            timeout = min(timeout, _LOOK)
        ready = {fd for fd, _ in self._poller.poll(max(0.0, timeout) * 1000)}
        if self._output in ready:
            self._read_output(_TURNS)
        if self._unsent:
            self._send_on()
        # Asked before the socket is read, so that an answer sent before death is seen.
        ended = self._pidfd in ready or (self._pidfd is None and has_ended(self.pid))
        if self._control.fileno() in ready or ended:
            self._read_control(everything=ended)
        return self._next(ended=ended)

    def is_well(self) -> bool:
        """
        Whether the child, which has nothing to do now, lives and listens.
        """
        if self._pidfd is None and has_ended(self.pid):
            return False
        return not {self._pidfd, self._control.fileno()} & {fd for fd, _ in self._poller.poll(0)}

    def progress(self) -> Progress | None:
        """
        What the job reported, if that is new.
        """
        return self._board.read()

    def output(self) -> str:
        """
        What the job has printed so far.
        """
        self.drain_output()
        return str(self._kept)

    def rss(self) -> int | None:
        """
        Its resident memory in bytes, where the system tells.
        """
        return rss_bytes(self.pid)

    def drain_output(self) -> None:
        """
        Read what is in the pipe now: no more than it holds, however fast it is filled.
        """
        self._read_output(1 + _pipe_size(self._output) // _CHUNK)

    def _next(self, *, ended: bool) -> Frame | None:
        try:
            frame = self._reader.next()
        except WireError as error:
            self.kill()
            raise ChildLost(f"the child does not keep to the protocol: {error}") from error
        if frame is None and (ended or self._closed_by_child):
            raise ChildLost(self._last_words())
        return frame

    def _send_on(self) -> None:
        try:
            while self._unsent:
                sent = self._control.send(self._unsent)
                self._unsent = self._unsent[sent:]
        except BlockingIOError:
            pass
        except OSError:
            # It is dead: the read says how.
            self._unsent = b""
        events = select.POLLIN | (select.POLLOUT if self._unsent else 0)
        self._poller.modify(self._control.fileno(), events)

    def _read_control(self, *, everything: bool) -> None:
        turns = 0
        while everything or turns < _TURNS:
            turns += 1
            try:
                data = self._control.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._closed_by_child = True
                return
            self._reader.feed(data)
            if len(data) < _CHUNK:
                return

    def _read_output(self, turns: int) -> None:
        for _ in range(turns):
            try:
                data = os.read(self._output, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                # Nobody has the pipe open any more.
                self._forget(self._output)
                return
            self._kept.feed(data)

    def _forget(self, fd: int) -> None:
        try:
            self._poller.unregister(fd)
        except KeyError:
            pass

    # -- ending

    def _last_words(self) -> str:
        if not self._await_end(_FAREWELL):
            self.kill()
            return "the child closed its connection to the worker, and was killed"
        self.kill()
        return "the child is gone" if self._status is None else describe_exit(self._status)

    def retire(self, grace: float) -> None:
        """
        Let the child go: it may end by itself within *grace* seconds.
        """
        if not self._dead:
            try:
                self._control.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._await_end(grace)
        self.kill()
        self.close()

    def kill(self) -> None:
        """
        End the child and what it started in its group, whatever they do; idempotent.
        """
        if self._dead:
            return
        # The child is not reaped yet, so its number still is its own.
        kill_group(self.pid)
        if self._await_end(_REAP_PATIENCE):
            self._dead = True
            self._status = self._reap()

    def _reap(self) -> int | None:
        try:
            return os.waitpid(self.pid, os.WNOHANG)[1]
        except ChildProcessError:
            # The host of this runner reaps all children by itself.
            return None

    def _await_end(self, patience: float) -> bool:
        if self._pidfd is not None:
            poller = select.poll()
            poller.register(self._pidfd, select.POLLIN)
            return bool(poller.poll(patience * 1000))
        deadline = time.monotonic() + patience
        while not (ended := has_ended(self.pid)) and time.monotonic() < deadline:
            time.sleep(0.005)
        return ended

    def close(self) -> None:
        """
        Kill the child if it lives, and give all descriptors back.
        """
        self.kill()
        self.release()

    def release(self) -> None:
        """
        Give all descriptors back; the child itself is left alone.
        """
        if self not in _LIVE:
            return
        _LIVE.discard(self)
        self._control.close()
        os.close(self._output)
        self._board.close()
        if self._pidfd is not None:
            os.close(self._pidfd)


#: The children of this process. A forked one closes what belongs to its siblings.
_LIVE: Final[WeakSet[Child]] = WeakSet()


def choose_method(settings: RunnerSettings) -> Literal["fork", "spawn"]:
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


def start_child(app: RunnerApp, settings: RunnerSettings, wake: int) -> Child:
    """
    A child that is ready to take jobs.

    Raises:
        AppLoadError: a spawned child could not import the app.
        ConfigurationError: see `choose_method`.
    """
    start = _fork if choose_method(settings) == "fork" else _spawn
    return start(app, settings, wake)


def _fork(app: RunnerApp, _settings: RunnerSettings, wake: int) -> Child:
    ours, theirs = socket.socketpair()
    output, output_end = os.pipe()
    board = ProgressBoard.create()
    parent = os.getpid()
    flush_output()
    # A handler of the parent's shall not run in the child.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = _fork_here()
        if pid == 0:
            _become_child(
                lambda: _serve(app, parent, ours, theirs, (output, output_end), board)
            )
    except OSError:
        ours.close()
        os.close(output)
        board.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()
        os.close(output_end)
    return Child(pid=pid, control=ours, output=output, board=board, wake=wake)


def _fork_here() -> int:
    with warnings.catch_warnings():
        # Threads of libraries that do not run Python, which the warning counts
        # too, are ended by their own fork handlers.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _become_child(serve: Callable[[], None]) -> None:
    """
    Run *serve* and end the process: nothing of the parent's may run here.
    """
    code = 1
    try:
        serve()
        code = 0
    except BrokenPipeError:
        # The runner is gone, or does not want the answer any more.
        pass
    except BaseException:  # noqa: BLE001  it is shown, and the process ends
        traceback.print_exc()
    finally:
        flush_output()
        os._exit(code)


def _serve(
    app: RunnerApp,
    parent: int,
    ours: socket.socket,
    theirs: socket.socket,
    output: tuple[int, int],
    board: ProgressBoard,
) -> None:
    os.setsid()
    settle_in(parent=parent, control=theirs.fileno())
    ours.close()
    for sibling in list(_LIVE):
        sibling.release()
    read_end, write_end = output
    leave_parent(output=write_end)
    os.close(read_end)
    os.close(write_end)
    JobServer(app, theirs, board).serve()


def _spawn(_app: RunnerApp, settings: RunnerSettings, wake: int) -> Child:
    assert settings.app_spec is not None
    ours, theirs = socket.socketpair()
    output, output_end = os.pipe()
    board = ProgressBoard.create()
    numbers = [str(n) for n in (os.getpid(), theirs.fileno(), board.fd)]
    module = "chariots_core.workers.isolation.spawned"
    options = [part for option in sys.warnoptions for part in ("-W", option)]
    process = subprocess.Popen(
        [sys.executable, *options, "-m", module, *numbers],
        stdin=subprocess.DEVNULL,
        stdout=output_end,
        stderr=output_end,
        pass_fds=(theirs.fileno(), board.fd),
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    # `Child` reaps it.
    process.returncode = 0
    theirs.close()
    os.close(output_end)
    child = Child(pid=process.pid, control=ours, output=output, board=board, wake=wake)
    try:
        _greet(child, settings)
    except BaseException:
        child.close()
        raise
    return child


def _greet(child: Child, settings: RunnerSettings) -> None:
    """
    Tell a spawned child where the app is, and wait until it is imported.
    """
    spec = settings.app_spec or ""
    hello = Hello(app_spec=spec, path=sys.path, python_path=os.environ.get("PYTHONPATH"))
    child.begin(hello, output_limit=settings.output_limit)
    child.jobs = 0
    deadline = time.monotonic() + settings.start_timeout
    while (left := deadline - time.monotonic()) > 0:
        try:
            frame = child.wait(left)
        except ChildLost as lost:
            raise AppLoadError(
                f"a child that imports app {spec!r} ended with {lost}: {child.output()}"
            ) from lost
        if frame is None:
            continue
        if isinstance(frame.header, Broken):
            error = frame.header.error
            raise AppLoadError(
                f"a child cannot import app {spec!r}: {error.type}: {error.message}\n"
                f"{error.traceback or ''}"
            )
        if isinstance(frame.header, Ready):
            return
    raise AppLoadError(
        f"a child has not imported app {spec!r} within {settings.start_timeout:g} s: "
        "raise start_timeout, or import less"
    )


def _pipe_size(fd: int) -> int:
    if sys.platform == "linux":
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)
    return _CHUNK
