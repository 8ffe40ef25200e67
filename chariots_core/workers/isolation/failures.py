"""
Exceptions as data: what may cross from the process of a job to the world.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

import attrs

import chariots_core
from chariots_core.errors import (
    BackendUnavailable,
    ChariotsError,
    NotJSONError,
    OpStoreError,
    PayloadTooLarge,
    PipelineError,
    TrainingInProgress,
    VersionError,
)
from chariots_core.jobs.record import JobError
from chariots_core.jobs.status import Reason
from chariots_core.pipelines.raised import Phase, node_of, phase_of
from chariots_core.workers.isolation.texts import bounded

#: Bytes kept of an exception's message.
MESSAGE_LIMIT: Final = 4 * 1024
#: Bytes kept of its traceback.
TRACEBACK_LIMIT: Final = 32 * 1024

#: The reasons of errors that no op, callback or output caused.
_OWN: Final = (
    (PayloadTooLarge, Reason.RESULT_TOO_LARGE, False),
    (VersionError, Reason.VERSION_CONFLICT, False),
    (BackendUnavailable, Reason.STORE_UNAVAILABLE, True),
    (TrainingInProgress, Reason.TRAINING_IN_PROGRESS, True),
    (OpStoreError, Reason.MODEL_UNAVAILABLE, False),
)

_OURS: Final = str(Path(chariots_core.__file__).parent)


@attrs.frozen(kw_only=True)
class Failure:
    """
    Why an attempt failed.

    Attributes:
        reason: see `Reason`.
        error: what went wrong.
        retryable: whether another attempt could fare better.
    """

    reason: str
    error: JobError
    retryable: bool


def failure_of(error: BaseException) -> Failure:
    """
    The failure of a run that raised *error*. Never raises itself.
    """
    node = _node_of(error)
    reason, retryable = _judge(error, node)
    return Failure(reason=reason, error=describe(error), retryable=retryable)


def describe(error: BaseException) -> JobError:
    """
    *error* as data, bounded, without the frames of this package that lead to it.
    """
    return JobError(
        type=_type_name(type(error)),
        message=bounded(_message_of(error), MESSAGE_LIMIT),
        node=_node_of(error),
        traceback=bounded(_traceback_of(error), TRACEBACK_LIMIT),
    )


def _judge(error: BaseException, node: str | None) -> tuple[str, bool]:
    """
    The reason, and whether to try again. What an op or a callback raised is the
    user's own, even if its class is one of this package.
    """
    # the class itself: isinstance would ask the error what it says of its class
    kind = type(error)
    phase = phase_of(error)
    if node is None and issubclass(kind, ChariotsError):
        if phase is Phase.staging:
            return _judge_staging(kind)
        if issubclass(kind, NotJSONError):
            return Reason.RESULT_NOT_SERIALIZABLE, False
        if phase is not Phase.run:
            return _judge_own(kind)
    return Reason.USER_ERROR, not issubclass(kind, PipelineError)


def _judge_staging(kind: type[BaseException]) -> tuple[str, bool]:
    """
    The same for an error of this package that was raised as the models were saved.
    """
    if issubclass(kind, TrainingInProgress):
        return Reason.TRAINING_IN_PROGRESS, True
    if issubclass(kind, BackendUnavailable):
        return Reason.STORE_UNAVAILABLE, True
    return Reason.PUBLICATION_FAILED, False


def _judge_own(kind: type[BaseException]) -> tuple[str, bool]:
    """
    The same for an error of this package that was raised before or after the run.
    """
    for known, reason, retryable in _OWN:
        if issubclass(kind, known):
            return reason, retryable
    return Reason.FRAMEWORK_ERROR, False


def _node_of(error: BaseException) -> str | None:
    node = node_of(error)
    return None if node is None else bounded(node, 256)


def _type_name(kind: type[BaseException]) -> str:
    name = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"


def _message_of(error: BaseException) -> str:
    try:
        return str(error) or f"{_type_name(type(error))} without a message"
    except BaseException as second:  # noqa: BLE001  the op's own class may do anything
        return f"<no message: {type(second).__name__} in its __str__>"


def _traceback_of(error: BaseException) -> str:
    try:
        lines = traceback.format_exception(type(error), error, _user_frames(error.__traceback__))
    except BaseException as second:  # noqa: BLE001  likewise
        return f"<no traceback: {type(second).__name__} while it was formatted>"
    return "".join(lines)


def _user_frames(trace: TracebackType | None) -> TracebackType | None:
    """
    The traceback from the first frame that is not of this package.

    An error of our own has no such frame and keeps them all.
    """
    frame = trace
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(_OURS):
        frame = frame.tb_next
    return frame or trace
