"""
The worker side of every backend: claim a job, run it, commit what became of it.

A backend takes a job id off its queue and calls `JobRunner.run`; no more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Self

from chariots_core import patience
from chariots_core.errors import StaleAttempt
from chariots_core.jobs import lifecycle
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import Reason
from chariots_core.jobs.store import QueueJobStore
from chariots_core.workers.commits import Commits
from chariots_core.workers.contracts import JobOutput, RunnerApp, RunnerSettings, RunOutcome
from chariots_core.workers.followup import emit, follow_up, stale_outcome
from chariots_core.workers.isolation import (
    Ending,
    Execution,
    Failure,
    Host,
    StartAborted,
    make_executor,
)
from chariots_core.workers.leases import Lease
from chariots_core.workers.supervision import Supervision
from chariots_core.workers.switch import StopSwitch
from chariots_core.workers.watch import Watch

logger = logging.getLogger(__name__)


class JobRunner:
    """
    Runs jobs of an app, one at a time.

    A runner belongs to the thread that made it: its children die with that
    thread. `stop` and `abort` may be called from signal handlers.

    An engine that runs messages in processes of its own makes one there, for
    instance in the process that is forked for a single message::

        settings = RunnerSettings(isolation="fresh")
        leave = pool.after_fork_in_child
        with JobRunner(app, worker_id=name, settings=settings, after_fork=leave) as runner:
            outcome = runner.run(job_id)

    In a process with several threads each of them makes its own, with
    ``start_method="spawn"`` and ``app_spec``: nothing safe can be forked there.

    Args:
        app: whose jobs.
        worker_id: who claims them.
        settings: how they are run.
        housekeeping: called every few seconds while a job runs or a child is
            waited for, from the same loop: for heart-beats and ticks. An
            exception in it is logged.
        after_fork: called in each child that is forked, before its first job.
        listen: called whenever the runner asks itself whether it is to stop,
            several times a second also while a store is waited for: for wishes
            that come without a signal. It calls `stop` or `abort`, and waits
            for nothing.
        watch: with it, and isolation ``thread``, jobs run in the runner's own
            thread, and the one on watch calls `attend`.
    """

    def __init__(
        self,
        app: RunnerApp,
        *,
        worker_id: str,
        settings: RunnerSettings | None = None,
        housekeeping: Callable[[], None] | None = None,
        after_fork: Callable[[], None] | None = None,
        listen: Callable[[], None] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.worker_id = worker_id
        self.settings = settings or RunnerSettings()
        self.current: JobRecord | None = None
        self._app = app
        self._store = app.job_store
        self._housekeeping = housekeeping or (lambda: None)
        self._switch = StopSwitch(listen or (lambda: None))
        self._commits = Commits(self._store, self.settings, self._switch)
        self._lease: Lease | None = None
        self._attempt: tuple[Supervision, Execution] | None = None
        # Attempts that began and whose end is not known to be written.
        self._begun: set[tuple[str, int]] = set()
        self._executor = make_executor(
            Host(
                app=app,
                settings=self.settings,
                switch=self._switch,
                attend=self._attend_start,
                after_fork=after_fork or (lambda: None),
                watch=watch,
            )
        )
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def stopping(self) -> bool:
        """
        Whether `stop` or `abort` was called.
        """
        return self._switch.stopping

    def prepare(self) -> None:
        """
        Start the child ahead of the first job, so that the worker is ready when it says so.

        It returns early if the runner is to stop.

        Raises:
            ConfigurationError: no job can be run here as the settings say.
        """
        with suppress(StartAborted):
            self._executor.prepare()

    def run(self, job_id: str, *, ahead: Callable[[], None] | None = None) -> RunOutcome:
        """
        Run the job that a queue has delivered, if there is one and it is still to be run.

        Args:
            job_id: the job.
            ahead: see `run_claimed`.

        Returns:
            What became of it; `RunOutcome.SKIPPED_DUPLICATE` also where no job
            has, or could have, that id.

        Raises:
            StoreUnavailable: it cannot be claimed now.
            ConfigurationError: no job can be run here as the settings say.
        """
        self.prepare()
        with self._bounded():
            record = lifecycle.claim(
                self._store, job_id, worker=self.worker_id, lease=self.settings.lease
            )
        if record is None:
            return RunOutcome.SKIPPED_DUPLICATE
        return self.run_claimed(record, ahead=ahead)

    def run_next(self, *, backend: str, queues: Sequence[str]) -> RunOutcome | None:
        """
        Claim the next job of a store that is its own queue, and run it.

        Returns:
            ``None`` if there is none, or the runner is stopping.

        Raises:
            StoreUnavailable: nothing can be claimed now.
            ConfigurationError: no job can be run here as the settings say.
        """
        if not isinstance(self._store, QueueJobStore):
            raise TypeError(f"a {self._store.kind!r} job store is no queue: use run(job_id)")
        self.prepare()
        if self.stopping:
            return None
        with self._bounded():
            record = self._store.claim_next(
                backend=backend, queues=queues, worker=self.worker_id, lease=self.settings.lease
            )
        return None if record is None else self.run_claimed(record)

    def run_claimed(
        self,
        record: JobRecord,
        *,
        since: float | None = None,
        ahead: Callable[[], None] | None = None,
    ) -> RunOutcome:
        """
        Run a job that this worker has claimed, and commit what became of it.

        Args:
            record: the job.
            since: when the claim was asked for, on the clock of `time.monotonic`,
                if that was a while ago.
            ahead: called before a result is committed that needs nothing more
                than that, if this runner can begin the next job right after it:
                to ask for that job meanwhile. It waits for nothing; an exception
                in it is logged.
        """
        since = time.monotonic() if since is None else since
        with self._bounded():
            if record.pipeline not in self._app.pipeline_names:
                delay = self._unknown_pipeline_delay(record)
                return self._hand_back(record, Reason.UNKNOWN_PIPELINE, delay)
            if self.stopping:
                return self._hand_back(record, Reason.WORKER_STOPPED, 0.0)
            if self._is_for_other_code(record):
                return self._leave_to_other_code(record)
            self.current = record
            self._lease = Lease(self._store, record, self.settings, since=since)
            try:
                return self._execute(self._lease, ahead)
            finally:
                self.current = self._lease = self._attempt = None
                self._executor.tidy()

    def attend(self) -> bool:
        """
        Do what is due while a job runs, from the thread that is on watch.

        Returns:
            Whether the worker goes on; if not, the job was given up, since the
            worker is to stop at once, and its outcome is written.
        """
        if self._attempt is None:
            return True
        supervision, execution = self._attempt
        with self._bounded():
            supervision.attend()
            if supervision.is_given_up:
                self._conclude(supervision.enforce, execution, supervision.record)
                return False
        return True

    def has_begun(self, record: JobRecord) -> bool:
        """
        Whether the attempt of *record* began here, and its end could not be written.
        """
        return (record.id, record.token) in self._begun

    def release(self, record: JobRecord) -> RunOutcome:
        """
        Hand a job back that this worker has claimed and not begun: the attempt does not count.
        """
        with self._bounded():
            return self._hand_back(record, Reason.WORKER_STOPPED, 0.0)

    def stop(self) -> None:
        """
        Finish the job at hand and begin no other: one that is claimed from here
        on is handed back.
        """
        self._switch.stop()

    def abort(self) -> None:
        """
        End the job at hand as lost, and begin no other.
        """
        self._switch.abort()

    def close(self) -> None:
        """
        End the child and give everything back; idempotent.
        """
        if not self._closed:
            self._closed = True
            self._executor.close()
            self._switch.close()

    # -- one attempt

    def _execute(self, lease: Lease, ahead: Callable[[], None] | None) -> RunOutcome:
        record = lease.record
        try:
            execution = self._executor.start(record)
        except StartAborted:
            return self._hand_back(record, Reason.WORKER_STOPPED, 0.0)
        except StaleAttempt as stale:
            return stale_outcome(record, stale)
        except Exception:
            # The fault is this worker's: the attempt has not begun, and does not count.
            self._hand_back(record, Reason.WORKER_STOPPED, self.settings.unknown_pipeline_delay)
            raise
        self._begun.add((record.id, record.token))
        emit(self._app, record)
        supervision = Supervision(
            lease=lease,
            execution=execution,
            settings=self.settings,
            switch=self._switch,
            housekeeping=self._attend,
        )
        self._attempt = supervision, execution
        return self._conclude(supervision.watch, execution, record, ahead)

    def _conclude(
        self,
        end: Callable[[], Ending],
        execution: Execution,
        record: JobRecord,
        ahead: Callable[[], None] | None = None,
    ) -> RunOutcome:
        """
        Commit what *end* tells of an attempt.
        """
        attempt = (record.id, record.token)
        try:
            ending = end()
            if self._belongs_elsewhere(record, ending):
                self._begun.discard(attempt)
                return self._leave_to_other_code(record)
            if ahead is not None and self._goes_on_after(ending):
                self._aside(ahead, "looking ahead")
            settled = self._commits.outcome(record, ending, execution.output())
        except StaleAttempt as stale:
            self._begun.discard(attempt)
            return stale_outcome(record, stale)
        if settled is None:
            return RunOutcome.STALE
        self._begun.discard(attempt)
        return follow_up(self._app, settled)

    def _is_for_other_code(self, record: JobRecord) -> bool:
        """
        Whether other code submitted the job and a live process has that code.
        """
        try:
            return self._app.is_for_other_code(record)
        except Exception:
            logger.exception("the processes of the app are not known")
            return False

    def _belongs_elsewhere(self, record: JobRecord, ending: Ending) -> bool:
        """
        Whether this worker's code has no models for the pipeline, so that no op ran, and
        a live worker has some.
        """
        if not isinstance(ending, Failure) or ending.reason != Reason.VERSION_CONFLICT:
            return False
        try:
            return self._app.is_served_elsewhere(record.pipeline)
        except Exception:
            logger.exception("the processes of the app are not known")
            return False

    def _bounded(self) -> AbstractContextManager[None]:
        """
        A store is waited for until the worker is to stop at once, and a moment longer.
        """
        return patience.bounded(unless=self._switch.is_too_late)

    def _attend_start(self) -> None:
        """
        While a child gets ready: go on as ever, and keep the job that waits for it.
        """
        with patience.bounded(
            seconds=self.settings.store_patience, unless=lambda: self._switch.stopping
        ):
            if self._lease is not None and time.monotonic() >= self._lease.renew_at:
                self._lease.renew()
            self._attend()

    def _goes_on_after(self, ending: Ending) -> bool:
        """
        Whether the next job can begin as soon as this one's result is committed.
        """
        return (
            isinstance(ending, JobOutput)
            and ending.manifest_json is None
            and self._executor.can_go_on()
            and not self.stopping
        )

    def _attend(self) -> None:
        self._aside(self._housekeeping, "housekeeping")

    def _aside(self, call: Callable[[], None], what: str) -> None:
        try:
            call()
        except Exception:
            logger.exception(
                "%s failed", what, extra={"action": f"{what.replace(' ', '_')}_failed"}
            )

    # -- afterwards

    def _hand_back(self, record: JobRecord, reason: str, delay: float) -> RunOutcome:
        try:
            released = self._commits.release(record, reason, delay)
        except StaleAttempt:
            return RunOutcome.STALE
        if released is None:
            return RunOutcome.STALE
        outcome = follow_up(self._app, released)
        # It fails instead, if somebody asked for its end.
        return RunOutcome.HANDED_BACK if outcome is RunOutcome.RETRIED else outcome

    def _leave_to_other_code(self, record: JobRecord) -> RunOutcome:
        # Always after the same short time: the right worker lives, and each offer may reach it.
        return self._hand_back(
            record, Reason.VERSION_CONFLICT, self.settings.unknown_pipeline_delay
        )

    def _unknown_pipeline_delay(self, record: JobRecord) -> float:
        first, longest = (
            self.settings.unknown_pipeline_delay,
            self.settings.unknown_pipeline_max_delay,
        )
        return min(longest, first * 2.0 ** min(record.generation - 1, 32))
