"""
Where a child writes how far it is, and its parent reads it when it likes.

Memory that both share, and not messages: an op may report a million times a
second, nobody has to keep up, and the newest report is always there.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import threading
import zlib
from typing import Final

import msgspec

from chariots_core.jobs.record import Progress
from chariots_core.workers.isolation.texts import bounded

_SIZE: Final = 8192
_PREFIX: Final = struct.Struct("=II")
_TEXT_LIMIT: Final = 1024


class ProgressBoard:
    """
    A page of memory that holds one report.

    Args:
        fd: of the file behind it.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, _SIZE)
        self._lock = threading.Lock()
        self._seen = b""

    @classmethod
    def create(cls) -> ProgressBoard:
        """
        A new, empty board.
        """
        fd = _anonymous_file()
        os.ftruncate(fd, _SIZE)
        return cls(fd)

    def write(self, progress: Progress) -> None:
        """
        Replace the report.
        """
        data = msgspec.json.encode(
            Progress(
                done=progress.done,
                total=progress.total,
                node=_short(progress.node),
                message=_short(progress.message),
            )
        )
        if len(data) > _SIZE - _PREFIX.size:
            return
        with self._lock:
            self._memory[_PREFIX.size : _PREFIX.size + len(data)] = data
            self._memory[: _PREFIX.size] = _PREFIX.pack(len(data), zlib.crc32(data))

    def read(self) -> Progress | None:
        """
        The report, if it is another than the last time.
        """
        size, checksum = _PREFIX.unpack_from(self._memory)
        if not 0 < size <= _SIZE - _PREFIX.size:
            return None
        data = self._memory[_PREFIX.size : _PREFIX.size + size]
        # A report that is being written right now has another checksum.
        if data == self._seen or zlib.crc32(data) != checksum:
            return None
        self._seen = data
        return msgspec.json.decode(data, type=Progress)

    def clear(self) -> None:
        """
        Forget the report.
        """
        self._memory[: _PREFIX.size] = bytes(_PREFIX.size)
        self._seen = b""

    def close(self) -> None:
        """
        Give the memory back.
        """
        self._memory.close()
        os.close(self.fd)


def _short(text: str | None) -> str | None:
    return None if text is None else bounded(text, _TEXT_LIMIT)


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("chariots-progress")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
