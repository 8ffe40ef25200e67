"""
How whoever submits a job wakes an idle worker on the same machine.

Each worker has a datagram socket in a folder that belongs to this user, this
store and this app. While it is idle its socket's name says so, and whoever
submits sends one byte to it. A wake-up carries no data: a false one costs a
look into the store, a lost one the poll interval.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import secrets
import socket
import stat
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_log = logging.getLogger(__name__)

#: The longest path that every system takes as the address of a socket.
_LONGEST: Final = 100

_IDLE: Final = ".idle"
_BUSY: Final = ".busy"


@cache
def meeting_place(store_url: str, app: str) -> Path | None:
    """
    The folder where the workers of *app* over that store listen.

    Its name tells nothing of the address, which may hold a password.

    Returns:
        The folder, not yet made; ``None`` where no path is short enough.
    """
    digest = hashlib.sha256(f"{store_url}\0{app}".encode()).hexdigest()[:20]
    for base in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - see `_private`
        folder = Path(base) / f"chariots-{os.getuid()}" / digest
        if len(str(folder)) + 40 <= _LONGEST:
            return folder
    return None


class Notifier:
    """
    Wakes the idle workers that listen in a folder.

    Args:
        place: the folder; ``None``: there is none, and workers poll.
    """

    def __init__(self, place: Path | None) -> None:
        self._place = place

    def notify(self, queue: str) -> int:
        """
        Wake the idle workers that take jobs from *queue*.

        Returns:
            How many were woken.
        """
        if self._place is None:
            return 0
        try:
            idle = [path for path in self._place.iterdir() if _hears(path, queue)]
        except OSError:
            # No worker has ever listened here.
            return 0
        if not idle:
            return 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            return sum(_send(sender, path) for path in idle)


class Listener:
    """
    A worker's end: is notified while the worker is idle. A context manager.

    Args:
        place: the folder; ``None``: there is none, and the worker polls.
        queues: the queues that the worker takes jobs from.
    """

    def __init__(self, place: Path | None, queues: tuple[str, ...]) -> None:
        self._socket: socket.socket | None = None
        self._path: Path | None = None
        self.idle = False
        if place is not None and _private(place):
            _sweep(place)
            name = f"{os.getpid()}-{secrets.token_hex(3)}-{_mark(queues)}{_BUSY}"
            self._listen(place / name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    @property
    def fds(self) -> list[int]:
        """
        What to wait for.
        """
        return [] if self._socket is None else [self._socket.fileno()]

    def show(self, *, idle: bool) -> None:
        """
        Ask to be woken from here on, or to be left alone.
        """
        if idle == self.idle:
            return
        self.idle = idle
        if self._path is None:
            return
        path = self._path.with_suffix(_IDLE if idle else _BUSY)
        try:
            self._path.rename(path)
        except OSError:
            # Somebody cleaned the folder up: from here on the worker polls.
            return
        self._path = path

    def drain(self) -> None:
        """
        Forget what it was notified of.
        """
        if self._socket is None:
            return
        try:
            while self._socket.recv(16):
                pass
        except BlockingIOError:
            pass

    def _listen(self, path: Path) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.setblocking(False)
        try:
            listener.bind(str(path))
        except OSError as error:
            listener.close()
            _log.warning("worker cannot be woken, and polls: %s: %s", path.parent, error)
            return
        self._socket, self._path = listener, path


def _send(sender: socket.socket, path: Path) -> bool:
    try:
        sender.sendto(b"!", str(path))
    except ConnectionRefusedError:
        # Its worker was killed: nobody will ever listen there again.
        with suppress(OSError):
            path.unlink()
        return False
    except OSError as error:
        # A full buffer will wake it as well; a name that is gone is a busy worker.
        return error.errno in {errno.EAGAIN, errno.ENOBUFS}
    return True


def _sweep(folder: Path) -> None:
    # What a killed worker left behind refuses the byte; a living one forgets it.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for path in folder.iterdir():
            _send(sender, path)


def _private(folder: Path) -> bool:
    """
    Make *folder* and see that it, and the one above, are this user's own.
    """
    try:
        for path in (folder.parent, folder):
            path.mkdir(mode=0o700, exist_ok=True)
            seen = path.lstat()
            if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or seen.st_mode & 0o077:
                _log.warning("worker cannot be woken, and polls: %s is not private", path)
                return False
    except OSError as error:
        _log.warning("worker cannot be woken, and polls: %s", error)
        return False
    return True


def _mark(queues: tuple[str, ...]) -> str:
    # One letter for each queue: a false alarm is cheap, and names stay short.
    return "".join(sorted({_letter(queue) for queue in queues}))


def _letter(queue: str) -> str:
    return "abcdefghijklmnop"[hashlib.sha256(queue.encode()).digest()[0] % 16]


def _hears(path: Path, queue: str) -> bool:
    return path.suffix == _IDLE and _letter(queue) in path.stem.rpartition("-")[2]
