"""
Watching one attempt from outside: its lease, its time, a wish that it ends.

There is no thread in here: whatever an op does to its own process, this loop
goes on, and a fork from this process is safe.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from chariots_core.errors import StaleAttempt, StoreUnavailable
from chariots_core.jobs import lifecycle
from chariots_core.jobs.record import JobError, JobRecord, Progress
from chariots_core.jobs.status import Reason
from chariots_core.jobs.store import JobStore
from chariots_core.workers.contracts import RunnerSettings
from chariots_core.workers.isolation import Ending, Execution, Failure
from chariots_core.workers.switch import StopSwitch

logger = logging.getLogger(__name__)


class Supervision:
    """
    Sees one attempt to its end.

    Args:
        store: where its lease is renewed.
        record: the job, claimed.
        execution: the attempt under way.
        settings: see `RunnerSettings`.
        switch: tells that the worker shall stop.
        housekeeping: called now and then while there is nothing to do.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        record: JobRecord,
        execution: Execution,
        settings: RunnerSettings,
        switch: StopSwitch,
        housekeeping: Callable[[], None],
    ) -> None:
        self._store = store
        self._record = record
        self._execution = execution
        self._settings = settings
        self._switch = switch
        self._housekeeping = housekeeping
        self._progress: Progress | None = None
        self._progress_written = False
        self._verdict: Failure | StaleAttempt | None = None
        now = time.monotonic()
        self._deadline = None if record.timeout is None else now + record.timeout
        self._renew_at = now + settings.renew_interval
        self._look_at = now + settings.progress_interval
        self._housekeeping_at = now + settings.housekeeping_interval

    def watch(self) -> Ending:
        """
        Wait until the attempt is over, or end it where it must be.

        Raises:
            StaleAttempt: it is no longer the job's own; it is over all the same.
        """
        while self._verdict is None:
            ending = self._execution.wait(self._patience())
            if ending is not None:
                self._write_last_progress()
                return ending
            self._attend()
        return self._enforce(self._verdict)

    def _patience(self) -> float:
        due = min(self._renew_at, self._look_at, self._housekeeping_at)
        if self._deadline is not None:
            due = min(due, self._deadline)
        return due - time.monotonic()

    def _attend(self) -> None:
        self._switch.drain()
        now = time.monotonic()
        if self._switch.aborting:
            self._verdict = _stopped()
        elif self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._verdict = self._verdict or _timed_out(self._record)
        if now >= min(self._look_at, self._renew_at):
            self._look(now)
        if now >= self._housekeeping_at:
            self._keep_house(now)

    def _look(self, now: float) -> None:
        self._look_at = now + self._settings.progress_interval
        self._progress = self._execution.progress() or self._progress
        if self._progress is not None or now >= self._renew_at:
            self._renew(now)

    def _renew(self, now: float) -> None:
        self._renew_at = now + self._settings.renew_interval
        try:
            record = lifecycle.renew(
                self._store, self._record, lease=self._settings.lease, progress=self._progress
            )
        except StoreUnavailable as error:
            # The child goes on: the store may be back before the lease is over,
            # and if it is not, the token decides.
            logger.warning(
                "the lease of job %s cannot be renewed now: %s",
                self._record.id,
                error,
                extra={"action": "renew_failed", "job_id": self._record.id},
            )
            return
        except StaleAttempt as stale:
            self._verdict = stale
            return
        self._progress_written = self._progress_written or self._progress is not None
        self._progress = None
        if record.cancel_requested and self._verdict is None:
            self._verdict = _cancelled()

    def _write_last_progress(self) -> None:
        """
        Where earlier reports were written, write the last one: whoever follows
        the run shall not be left at its middle.
        """
        self._progress = self._execution.progress() or self._progress
        if self._progress_written and self._progress is not None:
            self._renew(time.monotonic())
        if isinstance(self._verdict, StaleAttempt):
            raise self._verdict

    def _keep_house(self, now: float) -> None:
        self._housekeeping_at = now + self._settings.housekeeping_interval
        self._housekeeping()

    def _enforce(self, verdict: Failure | StaleAttempt) -> Failure:
        """
        End the attempt; where that cannot be done, wait for its end.
        """
        self._execution.stop()
        while not self._execution.can_stop and not self._switch.aborting:
            if self._execution.wait(self._patience()) is not None:
                break
            self._attend()
        if isinstance(verdict, StaleAttempt):
            raise verdict
        return verdict


def _timed_out(record: JobRecord) -> Failure:
    message = f"the attempt took longer than its timeout of {record.timeout:g} s, and was stopped"
    return Failure(
        reason=Reason.TIMEOUT,
        error=JobError(type="JobTimeout", message=message),
        retryable=True,
    )


def _cancelled() -> Failure:
    return Failure(
        reason=Reason.CANCELLED,
        error=JobError(type="JobCancelled", message="the job was cancelled while it ran"),
        retryable=False,
    )


def _stopped() -> Failure:
    message = "the worker had to stop before the attempt came to its end"
    return Failure(
        reason=Reason.WORKER_LOST,
        error=JobError(type="WorkerStopped", message=message),
        retryable=True,
    )
