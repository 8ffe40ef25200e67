"""
The job after the one at hand, which is claimed while the outcome of that one is written.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chariots_core.errors import StoreUnavailable
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.store import PendingClaim

if TYPE_CHECKING:
    from chariots_core.workers import WorkerSession


class Ahead:
    """
    A claim that goes to the store together with an outcome.

    Args:
        session: the worker.
        claim: its claim.

    Attributes:
        since: when it was asked for, on the clock of `time.monotonic`.
    """

    def __init__(self, session: WorkerSession, claim: PendingClaim) -> None:
        self.since = time.monotonic()
        self._session = session
        self._claim = claim

    def settle(self) -> JobRecord | None:
        """
        The job that was claimed; ``None`` if none was, as far as anybody knows.
        """
        try:
            return self._claim.settle()
        except StoreUnavailable:
            self._session.doubt_claims()
            return None

    def release(self) -> None:
        """
        Hand back what was claimed, since nobody is to run it here.
        """
        if (job := self.settle()) is not None:
            self._session.release(job)
