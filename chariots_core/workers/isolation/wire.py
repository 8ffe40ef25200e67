"""
What passes between a runner and its child: frames of JSON over a socket.

A frame is a small header, and a body that is carried as it is: the text of an
input or of a result is never parsed on its way.

.. code-block:: text

    | header size: u32 | body size: u64 | header: JSON | body: UTF-8 |
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from typing import Final, TypeAlias

import attrs
import msgspec

from chariots_core.jobs.record import JobError

_PREFIX: Final = struct.Struct("!IQ")
_CHUNK: Final = 1 << 16
_MAX_HEADER: Final = 64 << 20


class Hello(msgspec.Struct, tag="hello", frozen=True, kw_only=True):
    """
    To a spawned child, once: where the app is.

    Attributes:
        app_spec: the app as ``module:attribute``.
        path: the runner's ``sys.path``.
        python_path: the runner's ``PYTHONPATH``, if it has one.
    """

    app_spec: str
    path: list[str]
    python_path: str | None = None


class Ready(msgspec.Struct, tag="ready", frozen=True, kw_only=True):
    """
    From a child: the app is imported, and its pipelines are loaded.
    """


class Broken(msgspec.Struct, tag="broken", frozen=True, kw_only=True):
    """
    From a spawned child: the app cannot be imported.
    """

    error: JobError


class Start(msgspec.Struct, tag="start", frozen=True, kw_only=True):
    """
    To a child: run this. The body is the input, or empty where there is none.
    """

    job_id: str
    attempt: int
    pipeline: str
    input_ref: str | None = None


class Returned(msgspec.Struct, tag="returned", frozen=True, kw_only=True):
    """
    From a child: the run came to its end. The body is the result.
    """

    versions: Mapping[str, str]
    manifest_json: str | None = None
    value_ref: str | None = None


class Raised(msgspec.Struct, tag="raised", frozen=True, kw_only=True):
    """
    From a child: the run failed.
    """

    reason: str
    retryable: bool
    error: JobError


Header: TypeAlias = Hello | Ready | Broken | Start | Returned | Raised

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final[msgspec.json.Decoder[Header]] = msgspec.json.Decoder(Header)


@attrs.frozen
class Frame:
    """
    One message.
    """

    header: Header
    body: bytes = b""


class WireError(Exception):
    """
    Bytes that no frame begins with: whoever sent them is not to be trusted.
    """


def pack(header: Header, body: bytes = b"") -> bytes:
    """
    The bytes of one frame.
    """
    head = _ENCODER.encode(header)
    return b"".join((_PREFIX.pack(len(head), len(body)), head, body))


class FrameReader:
    """
    Makes frames out of bytes, in whatever pieces they come.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """
        Take the next piece.
        """
        self._buffer += data

    def next(self) -> Frame | None:
        """
        The next frame, if it is here as a whole.

        Raises:
            WireError: the bytes are no frame.
        """
        buffer = self._buffer
        if len(buffer) < _PREFIX.size:
            return None
        head_size, body_size = _PREFIX.unpack_from(buffer)
        if head_size > _MAX_HEADER:
            raise WireError(f"a header of {head_size} bytes is too large to be one")
        start = _PREFIX.size + head_size
        end = start + body_size
        if len(buffer) < end:
            return None
        with memoryview(buffer) as view:
            head, body = bytes(view[_PREFIX.size : start]), bytes(view[start:end])
        del buffer[:end]
        return Frame(_decode(head), body)


def _decode(head: bytes) -> Header:
    try:
        return _DECODER.decode(head)
    except msgspec.MsgspecError as error:
        raise WireError(f"not a header: {head[:80]!r}") from error


class Channel:
    """
    The child's end of the socket: whole frames, and waiting for them.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._reader = FrameReader()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, header: Header, body: bytes = b"") -> None:
        """
        Send one frame as a whole.
        """
        self._socket.sendall(pack(header, body))

    def receive(self) -> Frame | None:
        """
        Wait for the next frame; ``None`` once the other end is closed.
        """
        while (frame := self._reader.next()) is None:
            data = self._socket.recv(_CHUNK)
            if not data:
                return None
            self._reader.feed(data)
        return frame
