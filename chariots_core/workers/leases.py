"""
The lease of an attempt: said to live, again and again, to a store that may not answer.
"""

from __future__ import annotations

import logging
import time

from chariots_core.errors import StoreUnavailable
from chariots_core.jobs import lifecycle
from chariots_core.jobs.record import JobRecord, Progress
from chariots_core.jobs.store import JobStore
from chariots_core.workers.contracts import RunnerSettings

logger = logging.getLogger(__name__)


class Lease:
    """
    What an attempt holds from its claim to its commit.

    Args:
        store: where the job is.
        record: the job, just claimed.
        settings: see `RunnerSettings`.
        since: when the claim was asked for, on the clock of `time.monotonic`.

    Attributes:
        record: as it was claimed.
        renew_at: when it is to be renewed next, on the clock of `time.monotonic`.
    """

    def __init__(
        self, store: JobStore, record: JobRecord, settings: RunnerSettings, *, since: float
    ) -> None:
        self.record = record
        self._store = store
        self._settings = settings
        self.renew_at = since + settings.renew_interval

    def renew(self, progress: Progress | None = None) -> JobRecord | None:
        """
        Say that the attempt lives, and how far it is.

        Returns:
            The record now; ``None`` where the store cannot be told.

        Raises:
            StaleAttempt: the attempt is no longer the job's own.
        """
        self.renew_at = time.monotonic() + self._settings.renew_interval
        try:
            return lifecycle.renew(
                self._store, self.record, lease=self._settings.lease, progress=progress
            )
        except StoreUnavailable as error:
            # The attempt goes on: the store may be back before the lease is over,
            # and if it is not, the token decides.
            logger.warning(
                "the lease of job %s cannot be renewed now: %s",
                self.record.id,
                error,
                extra={"action": "renew_failed", "job_id": self.record.id},
            )
            return None
