"""
The errors of Chariots that callers handle; `chariots_core.errors` has them all.
"""

from chariots_core.errors import (
    BackendError,
    ChariotsError,
    ExecutionError,
    JobNotFound,
    ModelOutdated,
    NeverTrained,
    OpNameConflict,
    PipelineNotFound,
    TrainingInProgress,
    VersionError,
)

__all__ = [
    "BackendError",
    "ChariotsError",
    "ExecutionError",
    "JobNotFound",
    "ModelOutdated",
    "NeverTrained",
    "OpNameConflict",
    "PipelineNotFound",
    "TrainingInProgress",
    "VersionError",
]
