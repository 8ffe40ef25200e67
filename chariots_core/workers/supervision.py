"""
Watching one attempt from outside: its lease, its time, a wish that it ends.

There is no thread in here: whatever an op does to its own process, this loop
goes on, and a fork from this process is safe. A store that is locked or silent
does not hold it: it is given up once an end is due.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from chariots_core import patience
from chariots_core.errors import StaleAttempt
from chariots_core.jobs.record import JobError, JobRecord, Progress
from chariots_core.jobs.status import Reason
from chariots_core.workers.contracts import RunnerSettings
from chariots_core.workers.isolation import Ending, Execution, Failure
from chariots_core.workers.leases import Lease
from chariots_core.workers.switch import StopSwitch


class Supervision:
    """
    Sees one attempt to its end.

    Args:
        lease: of the attempt, which is renewed meanwhile.
        execution: the attempt under way.
        settings: see `RunnerSettings`.
        switch: tells that the worker shall stop.
        housekeeping: called now and then while there is nothing to do.

    Attributes:
        record: the job, as it was claimed.
    """

    def __init__(
        self,
        *,
        lease: Lease,
        execution: Execution,
        settings: RunnerSettings,
        switch: StopSwitch,
        housekeeping: Callable[[], None],
    ) -> None:
        self._lease = lease
        self.record = record = lease.record
        self._execution = execution
        self._settings = settings
        self._switch = switch
        self._housekeeping = housekeeping
        self._progress: Progress | None = None
        self._progress_written = False
        self._verdict: Failure | StaleAttempt | None = None
        now = time.monotonic()
        self._deadline = None if record.timeout is None else now + record.timeout
        self._look_at = now + settings.progress_interval
        self._housekeeping_at = now + settings.housekeeping_interval

    def watch(self) -> Ending:
        """
        Wait until the attempt is over, or end it where it must be.

        Raises:
            StaleAttempt: it is no longer the job's own; it is over all the same.
        """
        while not self._is_decided():
            ending = self._execution.wait(self._patience())
            # Whoever was on watch meanwhile may have decided.
            if ending is not None and not self._is_decided() and not self._is_overdue():
                with self._bounded():
                    self._write_last_progress()
                return ending
            self.attend()
        return self.enforce()

    def attend(self) -> None:
        """
        Do what is due while the attempt is under way.
        """
        self._switch.drain()
        self._judge()
        if self._is_decided() and self._execution.can_stop:
            return
        now = time.monotonic()
        with self._bounded():
            if now >= min(self._look_at, self._lease.renew_at):
                self._look(now)
        with self._bounded():
            if now >= self._housekeeping_at and not self._is_urgent():
                self._keep_house(now)

    @property
    def is_given_up(self) -> bool:
        """
        Whether the worker is to stop at once, and the attempt's end is decided.
        """
        return self._is_decided() and self._switch.aborting

    def _patience(self) -> float:
        due = min(self._lease.renew_at, self._look_at, self._housekeeping_at)
        if self._deadline is not None:
            due = min(due, self._deadline)
        return due - time.monotonic()

    def _is_decided(self) -> bool:
        return self._verdict is not None

    def _judge(self) -> None:
        if self._switch.aborting:
            self._verdict = self._verdict or _stopped()
        elif self._is_overdue():
            self._deadline = None
            self._verdict = self._verdict or _timed_out(self.record)

    def _is_overdue(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _is_urgent(self) -> bool:
        return self._switch.aborting or self._is_overdue()

    def _bounded(self) -> AbstractContextManager[None]:
        return patience.bounded(seconds=self._settings.store_patience, unless=self._is_urgent)

    def _look(self, now: float) -> None:
        self._look_at = now + self._settings.progress_interval
        self._progress = self._execution.progress() or self._progress
        if self._progress is not None or now >= self._lease.renew_at:
            self._renew()

    def _renew(self) -> None:
        try:
            record = self._lease.renew(self._progress)
        except StaleAttempt as stale:
            self._verdict = stale
            return
        if record is None:
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
            self._renew()
        if isinstance(self._verdict, StaleAttempt):
            raise self._verdict

    def _keep_house(self, now: float) -> None:
        self._housekeeping_at = now + self._settings.housekeeping_interval
        self._housekeeping()

    def enforce(self) -> Failure:
        """
        End the attempt, as was decided; where that cannot be done, wait for its end,
        unless the worker is to stop at once.

        Raises:
            StaleAttempt: it is no longer the job's own.
        """
        self._execution.stop()
        while not self._execution.can_stop and not self._switch.aborting:
            if self._execution.wait(self._patience()) is not None:
                break
            self.attend()
        verdict = self._verdict
        if isinstance(verdict, StaleAttempt):
            raise verdict
        assert verdict is not None, "nothing was decided"
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
