"""
Pages of a list: how many, and where the next one begins.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

from chariots_core.server.problems import invalid

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200

_PLACE: Final = re.compile(rb"seq:([0-9]{1,18})")


def read_limit(query: Mapping[str, str]) -> int:
    """
    How many items a page has.

    Raises:
        RequestProblem: not a number from 1 to `MAX_LIMIT`.
    """
    text = query.get("limit", str(DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,4}", text, re.ASCII) or not 1 <= int(text) <= MAX_LIMIT:
        raise invalid("/limit", f"limit {text!r} cannot be used: give 1 to {MAX_LIMIT}")
    return int(text)


def cursor_before(seq: int) -> str:
    """
    The cursor of the page that begins below *seq*.
    """
    return base64.urlsafe_b64encode(b"seq:%d" % seq).decode().rstrip("=")


def read_cursor(query: Mapping[str, str]) -> int | None:
    """
    Where the page begins: below this number; ``None``: at the newest.

    Raises:
        RequestProblem: not a cursor that an answer has given.
    """
    text = query.get("cursor")
    if text is None:
        return None
    try:
        place = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        place = b""
    match = _PLACE.fullmatch(place)
    if match is None:
        raise invalid("/cursor", "the cursor is not one that this list gave: begin without one")
    return int(match[1])
