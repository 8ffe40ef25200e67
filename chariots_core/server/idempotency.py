"""
The header ``Idempotency-Key``: one name, one job. And ``Chariots-Repeat``: a
request that may have arrived before, and is not to be carried out twice.
"""

from __future__ import annotations

from typing import Final

from flask import Request

from chariots_core.errors import IdempotencyKeyInvalid
from chariots_core.jobs.record import check_idempotency_key
from chariots_core.server.problems import invalid, not_repeatable

HEADER: Final = "Idempotency-Key"
REPEAT: Final = "Chariots-Repeat"

# the names that WSGI has for them: a look into the headers costs more
_KEY: Final = f"HTTP_{HEADER}".upper().replace("-", "_")
_MARK: Final = f"HTTP_{REPEAT}".upper().replace("-", "_")


def read_key(request: Request) -> str | None:
    """
    The key of *request*, if it has one.

    Raises:
        RequestProblem: it is not 1 to 255 visible ASCII characters.
    """
    key = request.environ.get(_KEY)
    if key is None:
        return None
    try:
        return check_idempotency_key(key)
    except IdempotencyKeyInvalid as error:
        raise invalid("", error.message) from error


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
