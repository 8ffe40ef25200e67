"""
What an operator may set for an app, with the values that hold unless somebody does.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

MEBIBYTE: Final = 1024 * 1024

_positive: Final[Any] = attrs.validators.gt(0)


@attrs.frozen(kw_only=True)
class AppSettings:
    """
    How an app behaves, beside what its pipelines say.

    Attributes:
        debug: whether answers about a failed run show the traceback.
        max_body_bytes: the largest request body that is read.
        max_result_bytes: the largest result of a job that is kept.
        max_concurrent_runs: how many runs one web process carries out at the
            same time; further ones wait for their turn. ``None``: no bound.
        tick_interval: seconds between two looks of a web process for jobs
            whose time has come.
    """

    debug: bool = False
    max_body_bytes: int = attrs.field(default=16 * MEBIBYTE, validator=_positive)
    max_result_bytes: int = attrs.field(default=64 * MEBIBYTE, validator=_positive)
    max_concurrent_runs: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(_positive)
    )
    tick_interval: float = attrs.field(default=5.0, validator=_positive)
