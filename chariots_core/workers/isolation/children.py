"""
The parent's side of a child: talk to it, read what it prints, end it.

There are no threads here: one poll waits for all that can happen.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from typing import Final
from weakref import WeakSet

from chariots_core.jobs.record import Progress
from chariots_core.workers.isolation.board import ProgressBoard
from chariots_core.workers.isolation.texts import BoundedText
from chariots_core.workers.isolation.unix import (
    describe_exit,
    has_ended,
    kill_group,
    open_pidfd,
    pipe_size,
    rss_bytes,
)
from chariots_core.workers.isolation.wire import (
    Frame,
    FrameReader,
    Header,
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

    Attributes:
        pid: likewise.
        jobs: how many it was given.
        is_ready: whether it can be given one.
    """

    def __init__(
        self, *, pid: int, control: socket.socket, output: int, board: ProgressBoard, wake: int
    ) -> None:
        self.pid = pid
        self.jobs = 0
        self.is_ready = False
        self._control = control
        self._output = output
        self._board = board
        self._wake = wake
        self._pidfd = open_pidfd(pid)
        self._reader = FrameReader()
        self._unsent = memoryview(b"")
        self._kept = BoundedText(0)
        self._closed_by_child = False
        self._dead = False
        self._status: int | None = None
        control.setblocking(False)
        os.set_blocking(output, False)
        self._pipeful = 1 + pipe_size(output) // _CHUNK
        self._poller = select.poll()
        for fd in (control.fileno(), output, wake):
            self._poller.register(fd, select.POLLIN)
        if self._pidfd is not None:
            self._poller.register(self._pidfd, select.POLLIN)
        LIVE.add(self)

    # -- talking

    def keep_output(self, limit: int) -> None:
        """
        Keep what is printed from here on.
        """
        self.drain_output()
        self._kept = BoundedText(limit)

    def begin(self, header: Header, body: bytes = b"", *, output_limit: int) -> None:
        """
        Send a job, and keep what is printed from here on.
        """
        self.keep_output(output_limit)
        self._board.clear()
        self.jobs += 1
        self.send(header, body)

    def send(self, header: Header, body: bytes = b"") -> None:
        """
        Send a frame; what the socket does not take now is sent while waiting.
        """
        self._unsent = memoryview(bytes(self._unsent) + pack(header, body))
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
        self._read_output(self._pipeful)

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
            self._unsent = memoryview(b"")
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
            if len(data) < _CHUNK and not everything:
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
        with contextlib.suppress(KeyError):
            self._poller.unregister(fd)

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
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)
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
        if self not in LIVE:
            return
        LIVE.discard(self)
        self._control.close()
        os.close(self._output)
        self._board.close()
        if self._pidfd is not None:
            os.close(self._pidfd)


#: The children of this process. A forked one closes what belongs to its siblings.
LIVE: Final[WeakSet[Child]] = WeakSet()
