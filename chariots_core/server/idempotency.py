"""
The header ``Idempotency-Key``: one name, one job.
"""

from __future__ import annotations

import re
from typing import Final

from flask import Request

from chariots_core.server.problems import invalid

HEADER: Final = "Idempotency-Key"

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
