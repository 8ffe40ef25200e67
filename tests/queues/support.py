"""
As much of a worker as what takes messages needs.
"""

from __future__ import annotations

import select
from types import SimpleNamespace

from chariots_core.jobs import lifecycle
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.store import JobStore
from chariots_core.workers import RunnerSettings


class Worker:
    """
    As much of a session as a consumer needs.
    """

    worker_id = "worker-1"
    settings = SimpleNamespace(runner=RunnerSettings(lease=15.0))

    def __init__(self, store: JobStore) -> None:
        self.job_store = store
        self.is_in_doubt = False
        self.released: list[str] = []

    def wait(self, seconds: float, *fds: int) -> list[int]:
        """
        Wait as a session does.
        """
        return select.select(fds, [], [], seconds)[0]

    def doubt_claims(self) -> None:
        """
        Take note.
        """
        self.is_in_doubt = True

    def release(self, record: JobRecord) -> None:
        """
        Hand it back.
        """
        lifecycle.release(self.job_store, record, reason="worker_stopped")
        self.released.append(record.id)
