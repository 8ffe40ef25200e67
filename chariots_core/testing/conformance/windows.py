"""
Windows in a job's life where a process may die: traps that a configuration sets there.

The app and its store are real. They only have one more thing on their way: at
the named point, once, the process sends a signal to itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from chariots_core.errors import StoreUnavailable
from chariots_core.jobs import Guard, JobRecord, JobStatus, JobStore, NewEvent
from chariots_core.testing.conformance.config import Trap
from chariots_core.testing.conformance.store_proxy import StoreProxy


def spring(trap: Trap, at: str) -> bool:
    """
    Let *trap* act if it is set at this point and did not act before.

    Returns:
        Whether it has acted; who is killed never knows.
    """
    if trap.at != at:
        return False
    try:
        os.close(os.open(trap.marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    os.kill(os.getpid(), trap.signal)
    return True


class TrappedStore(StoreProxy):
    """
    A job store with a trap before a claim, after it, or after the commit of a result,
    or one that is out of reach for a claim.
    """

    def __init__(self, inside: JobStore, trap: Trap) -> None:
        super().__init__(inside)
        self._trap = trap

    def _compare_and_set(
        self,
        guard: Guard,
        status: JobStatus,
        changes: Mapping[str, Any],
        events: Sequence[NewEvent],
    ) -> JobRecord | None:
        starts = guard.status is JobStatus.queued and status is JobStatus.running
        commits = guard.status is JobStatus.running and changes.get("value_json") is not None
        if starts:
            self._before_claim()
        record = super()._compare_and_set(guard, status, changes, events)
        if record is not None and starts:
            spring(self._trap, "after_claim")
        if record is not None and commits:
            spring(self._trap, "after_commit")
        return record

    def claim_next(
        self, *, backend: str, queues: Sequence[str], worker: str, lease: float
    ) -> JobRecord | None:
        if self.inside.counts().get(JobStatus.queued):
            self._before_claim()
        record = super().claim_next(backend=backend, queues=queues, worker=worker, lease=lease)
        if record is not None:
            spring(self._trap, "after_claim")
        return record

    def _before_claim(self) -> None:
        spring(self._trap, "before_claim")
        if spring(self._trap, "no_claim"):
            raise StoreUnavailable("the kit lets the job store be out of reach for this claim")
