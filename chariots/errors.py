"""
The errors of Chariots that callers handle; `chariots_core.errors` has them all.
"""

from chariots_core.errors import (
    BackendError,
    ChariotsError,
    ExecutionError,
    JobNotFound,
    PipelineNotFound,
    VersionError,
)

__all__ = [
    "BackendError",
    "ChariotsError",
    "ExecutionError",
    "JobNotFound",
    "PipelineNotFound",
    "VersionError",
]
