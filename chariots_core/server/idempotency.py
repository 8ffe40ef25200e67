"""
The header ``Idempotency-Key``: one name, one job. And ``Chariots-Repeat``: a
request that may have arrived before, and is not to be carried out twice.
"""

from __future__ import annotations

import re
from typing import Final

from flask import Request

from chariots_core.server.problems import invalid, not_repeatable

HEADER: Final = "Idempotency-Key"
REPEAT: Final = "Chariots-Repeat"

_MARK: Final = f"HTTP_{REPEAT}".upper().replace("-", "_")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def read_key(request: Request) -> str | None:
    """
    The key of *request*, if it has one.

    Raises:
        RequestProblem: it is not 1 to 255 visible ASCII characters.
    """
    key = request.headers.get(HEADER)
    if key is None or _KEY.fullmatch(key):
        return key
    raise invalid("", f"{HEADER} cannot be used: give 1 to 255 visible ASCII characters")


def refuse_repeat(request: Request, why: str) -> None:
    """
    Refuse *request* if its client may have sent it before.

    Args:
        request: the request.
        why: the reason for which it would be carried out twice.

    Raises:
        RequestProblem: it says that it is a repeat.
    """
    if _MARK in request.environ:
        raise not_repeatable(
            f"an earlier one of this request may have been carried out, and {why}: "
            f"this one did nothing; without {REPEAT} it is a request of its own"
        )
