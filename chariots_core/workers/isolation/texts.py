"""
Texts of unknown length, kept within a bound: their beginning and their end.
"""

from __future__ import annotations


class BoundedText:
    """
    Takes bytes without end and keeps the first and the last of them.

    Args:
        limit: how many bytes are kept in all.

    >>> text = BoundedText(8)
    >>> text.feed(b"0123456789")
    >>> print(text)
    0123
    [... 2 bytes cut ...]
    6789
    """

    def __init__(self, limit: int) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._head_size = limit - limit // 2
        self._tail_size = limit // 2
        self._total = 0

    def feed(self, data: bytes) -> None:
        """
        Take the next bytes.
        """
        self._total += len(data)
        room = self._head_size - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data:
            return
        self._tail += data[-self._tail_size :] if self._tail_size else b""
        # Trimmed now and then: a trim for each line would copy the tail each time.
        if len(self._tail) > 2 * self._tail_size:
            del self._tail[: -self._tail_size]

    def __str__(self) -> str:
        tail = self._tail[-self._tail_size :] if self._tail_size else b""
        cut = self._total - len(self._head) - len(tail)
        if not cut:
            return _readable(bytes(self._head + tail))
        marker = f"\n[... {cut} bytes cut ...]\n"
        return f"{_readable(bytes(self._head))}{marker}{_readable(bytes(tail))}"


def bounded(text: str, limit: int) -> str:
    """
    *text* within *limit* bytes of UTF-8, and fit for any store.
    """
    kept = BoundedText(limit)
    kept.feed(text.encode("utf-8", "backslashreplace"))
    return str(kept)


def _readable(data: bytes) -> str:
    # PostgreSQL keeps no NUL in a text.
    return data.decode("utf-8", "replace").replace("\0", "\N{SYMBOL FOR NULL}")
