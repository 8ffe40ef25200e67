"""
A worker for the apps of this process, for as long as a block lasts.
"""

from __future__ import annotations

from chariots_core.testing import BackendWorkerContext
from chariots_dramatiq.pool import DramatiqWorkerPool


class DramatiqWorkerContext(BackendWorkerContext):
    """
    A worker for each app of this process that uses Dramatiq, while the block lasts.

    They are forked from this process, so they know apps of a notebook, a test
    or a doctest; they take jobs as the block begins. At its end they finish
    what they are at and are gone.

    Args:
        timeout: seconds that they may take to be ready, and to end.

    Raises:
        BackendNotConfigured: no app of this process uses Dramatiq.
    """

    pool_type = DramatiqWorkerPool
