"""
Writing what became of an attempt to a store that may not answer just now.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from chariots_core.errors import StaleAttempt, StoreUnavailable
from chariots_core.jobs import lifecycle
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs.store import JobStore
from chariots_core.patience import bounded
from chariots_core.workers.contracts import JobOutput, RunnerSettings
from chariots_core.workers.isolation import Ending, Failure
from chariots_core.workers.switch import StopSwitch

logger = logging.getLogger(__name__)

#: Seconds before a change is offered again, and the bound of that.
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 2.0


class Commits:
    """
    Writes what became of attempts, as patiently as the settings say.

    Each method returns the record as written, or ``None`` if the store stays out of
    reach.

    Args:
        store: where the jobs are.
        settings: see `RunnerSettings`.
        switch: tells that the worker shall stop at once.
    """

    def __init__(self, store: JobStore, settings: RunnerSettings, switch: StopSwitch) -> None:
        self._store = store
        self._settings = settings
        self._switch = switch

    def outcome(self, record: JobRecord, ending: Ending, output: str | None) -> JobRecord | None:
        """
        Write how an attempt ended, and what it printed.

        Raises:
            StaleAttempt: the attempt is no longer the job's own.
        """
        if isinstance(ending, JobOutput):
            return self._write(
                record,
                partial(
                    lifecycle.complete,
                    self._store,
                    record,
                    value_json=ending.value_json or None,
                    versions=ending.versions,
                    manifest_json=ending.manifest_json,
                    value_ref=ending.value_ref,
                    output=output or None,
                ),
                lambda now: _is_completed(now, record, ending),
            )
        log_failure(record, ending)
        return self._write(
            record,
            partial(
                lifecycle.fail,
                self._store,
                record,
                reason=ending.reason,
                error=ending.error,
                retryable=ending.retryable,
                output=output or None,
            ),
            lambda now: (
                (now.token, now.attempt) == (record.token, record.attempt)
                and now.error == ending.error
            ),
        )

    def release(self, record: JobRecord, reason: str, delay: float) -> JobRecord | None:
        """
        Write that an attempt did not begin: it does not count, and the job is offered
        again after *delay* seconds.

        Raises:
            StaleAttempt: the attempt is no longer the job's own.
        """
        return self._write(
            record,
            partial(lifecycle.release, self._store, record, reason=reason, delay=delay),
            lambda now: (
                now.token == record.token
                and (now.attempt < record.attempt or now.status is JobStatus.failed)
            ),
        )

    def _write(
        self,
        record: JobRecord,
        write: Callable[[], JobRecord],
        is_written: Callable[[JobRecord], bool],
    ) -> JobRecord | None:
        """
        Make one change to the job of an attempt, as soon as the store lets it.

        Args:
            record: the job as it was claimed.
            write: makes the change.
            is_written: whether a record shows that the change was made: the answer
                to an earlier offer may have been lost on its way.
        """
        give_up = time.monotonic() + self._settings.commit_patience
        wait = _FIRST_PAUSE
        write_once = write
        while True:
            try:
                with bounded(seconds=self._settings.store_patience):
                    return write_once()
            except StoreUnavailable as error:
                trouble = error
            write_once = _Again(self._store, record, write, is_written)
            if time.monotonic() + wait > give_up or not self._switch.pause(wait):
                break
            wait = min(2 * wait, _LONGEST_PAUSE)
        logger.error(
            "the outcome of job %s cannot be committed, and is left to be settled as lost: %s",
            record.id,
            trouble,
            extra={"action": "commit_failed", "job_id": record.id},
        )
        return None


def _is_completed(now: JobRecord, record: JobRecord, output: JobOutput) -> bool:
    """
    Whether *now* has the result of the attempt in *record*.
    """
    if output.manifest_json is None:
        return (now.token, now.status) == (record.token, JobStatus.done)
    # The commit of an outcome with a manifest has raised the token.
    own = (now.token, now.attempt) == (record.token + 1, record.attempt)
    return own and (now.is_publishing or now.status is JobStatus.done)


def log_failure(record: JobRecord, failure: Failure) -> None:
    """
    Tell the log of a failed attempt what a record keeps to itself: its traceback.

    The traceback is bounded already. The job's input is not logged; what an
    exception says of it is.
    """
    if failure.reason == Reason.CANCELLED:
        return
    error = failure.error
    logger.error(
        "job %s: attempt %d of %d of pipeline %r failed%s (%s): %s",
        record.id,
        record.attempt,
        record.max_attempts,
        record.pipeline,
        f" in node {error.node!r}" if error.node else "",
        failure.reason,
        (error.traceback or f"{error.type}: {error.message}").rstrip(),
        extra={"action": "attempt_failed", "job_id": record.id},
    )


class _Again:
    """
    A change that was offered before, with an unknown outcome.
    """

    def __init__(
        self,
        store: JobStore,
        record: JobRecord,
        write: Callable[[], JobRecord],
        is_written: Callable[[JobRecord], bool],
    ) -> None:
        self._store = store
        self._record = record
        self._write = write
        self._is_written = is_written

    def __call__(self) -> JobRecord:
        try:
            return self._write()
        except StaleAttempt:
            now = self._store.get(self._record.id)
            if self._is_written(now):
                return now
            raise
