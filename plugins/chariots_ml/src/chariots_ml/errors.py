"""
What can go wrong with an op that learns, beside what can with any op.
"""

from __future__ import annotations

from chariots_core.errors import PipelineError


class OpNotFitted(PipelineError):
    """
    An op was to predict before it was fitted or loaded.

    Attributes:
        op: the op's name.
    """

    code = "op-not-fitted"

    def __init__(self, message: str, *, op: str) -> None:
        super().__init__(message)
        self.op = op
