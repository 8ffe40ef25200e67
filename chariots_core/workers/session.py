"""
What a worker process is given to work with: when to go on, and how to run a job.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

from chariots_core import patience
from chariots_core.errors import BackendUnavailable
from chariots_core.jobs.record import JobRecord, WorkerRecord
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs.store import JobQuery, JobStore
from chariots_core.jobs.tick import TICK_BUDGET, tick
from chariots_core.workers.contracts import RunOutcome
from chariots_core.workers.pool_types import Neighbourhood
from chariots_core.workers.risks import tell_risks
from chariots_core.workers.runner import JobRunner
from chariots_core.workers.settings import WorkerSettings
from chariots_core.workers.signals import StopSignals
from chariots_core.workers.watch import Watch

if TYPE_CHECKING:
    from chariots_core.workers.pool import BaseWorkerPool

_log = logging.getLogger(__name__)

T = TypeVar("T")

#: The least and the most seconds between two tries to reach a store that does not answer.
_RETRY: Final = (0.5, 5.0)

#: Seconds for which a store is waited for at the end.
_FAREWELL: Final = 2.0

#: Seconds between two reports of the process to others of the app.
_REPORT_INTERVAL: Final = 20.0

#: How many jobs one tick settles: while a job runs, its lease waits meanwhile.
_TICK_LIMIT: Final = 100
_TICK_LIMIT_BUSY: Final = 10


class WorkerSession:
    """
    The life of one worker process, as the pool that runs it sees it.

    A pool's ``run_worker`` asks `keep_running` before it takes a job, often
    enough that the worker shows signs of life: at least every second or two. It
    gives each job id to `run`, and waits for more by `wait`, or by its queue's
    own blocking call with a time-out of about a second.

    There is no thread behind it: heart-beats and `tick` happen inside these calls.
    With isolation ``thread`` a job runs in the thread that calls `run`, and the
    main thread does meanwhile what is due, by `attend`.

    **An engine with a loop of its own** does without `keep_running` and `wait`:

    * One session for each process that is to be on the list of workers. Its
      *signals* are not entered where the engine handles signals itself; the
      engine's handler calls ``signals.request()``.
    * From the engine's own loop or timer `housekeep`, every second or two: beats
      and ticks. Calls must not overlap.
    * `run` for each message, in the thread that made the session. Where the
      engine runs messages in a process of their own, or in several threads, that
      process, or each of these threads, makes a `JobRunner` instead: it renews
      the lease by itself, and its children die with the thread that made it.
    * `close` at the end, or a ``with`` block.

    Args:
        pool: the pool, bound to its app.
        settings: how the worker works.
        signals: when it is to stop.
        on_ready: called once, when the worker will take a job now.
        watch: see `JobRunner`.

    Attributes:
        meanwhile: called about every half second while a job runs, between two
            looks at it: to serve a connection, say. It waits for next to nothing.
        abandon: called where `run` will not return, since the worker is to stop at
            once and its job, which runs in its own process, does not end: to do what
            the pool would have done then.
    """

    meanwhile: Callable[[], None]
    abandon: Callable[[], None]

    def __init__(
        self,
        pool: BaseWorkerPool,
        *,
        settings: WorkerSettings,
        signals: StopSignals,
        on_ready: Callable[[], None] | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.meanwhile = self.abandon = lambda: None
        self.worker_id = new_worker_id()
        self.settings = settings
        self._pool = pool
        self._app = pool.app
        self._store = pool.job_store()
        self._signals = signals
        # A session that is started on purpose for an app that was replaced earlier goes on.
        self._may_be_replaced = not self._is_app_replaced()
        self._on_ready = on_ready or (lambda: None)
        self._is_ready = False
        self._unfinished: dict[str, None] = {}
        self._failures = 0
        self._in_doubt = False
        now = time.monotonic()
        self._next_beat = now
        self._next_tick = now + random.uniform(0.0, settings.tick_interval)
        self._next_report = now
        self._neighbours: Neighbourhood | None = getattr(pool.app, "neighbours", None)
        self._runner = JobRunner(
            pool.app,
            worker_id=self.worker_id,
            settings=settings.runner,
            housekeeping=self._keep_house,
            after_fork=pool.after_fork_in_child,
            listen=self._listen,
            watch=watch,
        )
        signals.on_request = self._finish
        signals.on_order = self._abort

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
    def app_name(self) -> str:
        """
        The app whose jobs this worker runs: part of the queues' names.
        """
        return self._app.name

    @property
    def queues(self) -> tuple[str, ...]:
        """
        The queues this worker takes jobs from.
        """
        return self.settings.queues

    @property
    def finished_all(self) -> bool:
        """
        Whether every job that was begun came to its end.
        """
        return not self._unfinished

    @property
    def unfinished(self) -> tuple[str, ...]:
        """
        The jobs that were begun and did not come to their end.
        """
        return tuple(self._unfinished)

    def keep_running(self) -> bool:
        """
        Whether to take another job; a sign of life on the way.
        """
        if self._is_to_stop():
            return False
        self.housekeep()
        if self._in_doubt and self._aside(self._release_lost, "look for lost claims"):
            self._in_doubt = False
        if not self._failures:
            self._get_ready()
        return not self._is_to_stop()

    def housekeep(self) -> None:
        """
        Show a sign of life and settle what is due, where it is time for that.

        `keep_running` and `run` do it by themselves. A job store that is out of
        reach is logged, and asked again later.
        """
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + self.settings.beat_interval
            if self._aside(self._beat, "show a sign of life") is None:
                self._next_beat = now + self._pause()
        if now >= self._next_tick:
            self._next_tick = now + self.settings.tick_interval * random.uniform(0.8, 1.2)
            self._aside(self._tick, "settle what is due")
        if now >= self._next_report and self._runner.current is None and not self._failures:
            self._next_report = now + _REPORT_INTERVAL
            self._report()
            # before the first job: workers of other code look for it
            self._aside(self._report_presence, "report its presence")

    def wait(self, seconds: float, *fds: int) -> list[int]:
        """
        Wait until one of *fds* can be read, the time is over, or the worker is to stop.

        Returns:
            Those of *fds* that can be read.
        """
        return self._signals.wait(seconds, fds)

    @property
    def job_store(self) -> JobStore:
        """
        Where the jobs are.
        """
        return self._store

    def run(self, job_id: str, *, ahead: Callable[[], None] | None = None) -> RunOutcome:
        """
        Claim and run one job.

        Args:
            job_id: the job.
            ahead: see `JobRunner.run_claimed`.

        Returns:
            What became of it. `RunOutcome.HANDED_BACK`, and only that, means
            that the message is to stay in the queue: the worker is to stop, or
            the job store is out of reach, which was waited for a while. All
            else is settled, also what the id of no job names
            (`RunOutcome.SKIPPED_DUPLICATE`): the message is to be dropped.

        Raises:
            ConfigurationError: no job can be run here as the settings say.
        """
        if self._is_to_stop():
            return RunOutcome.HANDED_BACK
        ahead = self._unless_in_doubt(ahead)
        outcome = self._guarded(lambda: self._runner.run(job_id, ahead=ahead), "claim a job")
        if outcome is not None:
            return outcome
        self.doubt_claims()
        self.wait(self._pause())
        return RunOutcome.HANDED_BACK

    def run_claimed(
        self, record: JobRecord, *, since: float, ahead: Callable[[], None] | None = None
    ) -> RunOutcome:
        """
        Run a job that was claimed for this worker as it was taken off the queue.

        Returns:
            What became of it: whatever that is, it is settled.

        Raises:
            ConfigurationError: no job can be run here as the settings say.
        """
        return self._runner.run_claimed(record, since=since, ahead=self._unless_in_doubt(ahead))

    def attend(self) -> bool:
        """
        Look after the job at hand: see `JobRunner.attend`.
        """
        if self._runner.attend():
            return True
        try:
            self.abandon()
        except Exception:  # noqa: BLE001 - a pool of a plugin may raise anything
            _log.exception("worker %s cannot give back what it holds", self.worker_id)
        return False

    def release(self, record: JobRecord) -> None:
        """
        Hand a job back that was claimed for this worker and has not begun.
        """
        self._runner.release(record)

    def doubt_claims(self) -> None:
        """
        Say that a job may have been claimed for this worker, and the answer was lost.

        `keep_running` finds it, once the job store answers, and hands it back:
        it has not begun, so the attempt does not count.
        """
        self._in_doubt = True

    def run_next(self) -> RunOutcome | None:
        """
        Claim and run the next job of a store that is its own queue.

        Returns:
            What became of it; ``None`` if there is none, or if the store does
            not answer: then it is asked again after a while.
        """
        if self._is_to_stop():
            return None
        outcome = self._guarded(
            lambda: self._runner.run_next(backend=self._pool.name, queues=self.queues),
            "claim a job",
        )
        if self._failures:
            self.doubt_claims()
        return outcome

    def close(self) -> None:
        """
        Stop the children and take the worker off the list.
        """
        # A signal that comes now must not speak to a runner that is closed.
        self._signals.on_request = self._signals.on_order = lambda: None
        self._runner.close()
        with patience.bounded(seconds=_FAREWELL):
            self._guarded(lambda: self._store.remove_worker(self.worker_id), "leave")
            self._app.withdraw_presence()
            if self._neighbours is not None and not self._failures:
                self._neighbours.leave(self.worker_id)

    # -- inside

    def _keep_house(self) -> None:
        self.housekeep()
        if self._runner.current is not None:
            self.meanwhile()

    def _listen(self) -> None:
        # The end of the grace, the word and the end of the parent come without a signal.
        if self._signals.ordered:
            self._abort()
        if self._may_be_replaced and self._is_app_replaced():
            self._runner.stop()

    def _is_to_stop(self) -> bool:
        return self._signals.requested or (self._may_be_replaced and self._is_app_replaced())

    def _is_app_replaced(self) -> bool:
        # A newer app of this process runs the jobs: see `chariots_core.app.replacing`.
        return bool(getattr(self._app, "is_replaced", False))

    def _finish(self) -> None:
        self._runner.stop()
        if (job := self._runner.current) is not None:
            self._signals.say_finishing(f"job {job.id}")

    def _abort(self) -> None:
        if (job := self._runner.current) is not None:
            self._unfinished[job.id] = None
        self._runner.abort()

    def _beat(self) -> bool:
        job = self._runner.current
        state = "idle" if job is None else "busy"
        record = WorkerRecord(
            id=self.worker_id,
            backend=self._pool.name,
            queues=self.queues,
            host=socket.gethostname(),
            pid=os.getpid(),
            state="stopping" if self._is_to_stop() else state,
            job_id=None if job is None else job.id,
        )
        self._store.beat(record, ttl=self.settings.beat_ttl)
        return True

    def _report(self) -> None:
        if self._neighbours is not None:
            with patience.bounded(unless=lambda: self._signals.ordered):
                self._neighbours.report("worker", self.worker_id)

    def _report_presence(self) -> None:
        self._app.report_presence("worker")

    def _tick(self) -> None:
        app = self._app
        report = tick(
            self._store,
            dispatch=app.dispatch,
            publish=app.publish,
            limit=_TICK_LIMIT if self._runner.current is None else _TICK_LIMIT_BUSY,
            budget=TICK_BUDGET,
        )
        for record in report.changed:
            app.emit(record.status.value, record)
        self._report_presence()

    def _unless_in_doubt(self, ahead: Callable[[], None] | None) -> Callable[[], None] | None:
        # What is claimed and not running is taken for lost then.
        return None if self._in_doubt else ahead

    def _release_lost(self) -> bool:
        """
        Hand back what is claimed for this worker, which runs nothing now, and never began.
        """
        query = JobQuery(status=JobStatus.running, limit=1000)
        for record in self._store.list_jobs(query):
            if (
                record.worker == self.worker_id
                and not record.is_publishing
                and not self._runner.has_begun(record)
            ):
                _log.warning(
                    "job %s was claimed for worker %s, which did not hear of it: it is handed back",
                    *(record.id, self.worker_id),
                    extra={"action": "claim_lost", "job_id": record.id},
                )
                self.release(record)
        return True

    def _pause(self) -> float:
        return min(_RETRY[0] * 2.0 ** (self._failures - 1), _RETRY[1])

    def _get_ready(self) -> None:
        if self._is_ready:
            # A child that died or was replaced: its successor loads before a job is taken.
            if self.settings.runner.isolation == "warm":
                self._runner.prepare()
            return
        self._runner.prepare()
        # It may have been asked to stop meanwhile, and not be ready at all.
        if not self._signals.requested:
            self._aside(lambda: tell_risks(self._store), "look at its job store")
            self._is_ready = True
            self._on_ready()

    def _aside(self, call: Callable[[], T], what: str) -> T | None:
        with patience.bounded(unless=lambda: self._signals.ordered):
            return self._guarded(call, what)

    def _guarded(self, call: Callable[[], T], what: str) -> T | None:
        # A worker outlives its store: it says so once, and tries again.
        try:
            value = call()
        except BackendUnavailable as error:
            if not self._failures:
                _log.warning(
                    "worker %s cannot %s, and tries again: %s", self.worker_id, what, error
                )
            self._failures += 1
            return None
        if self._failures:
            _log.warning("worker %s can reach its job store again", self.worker_id)
        self._failures = 0
        return value


def new_worker_id() -> str:
    """
    An id that no other worker has or had: host, process, and chance.
    """
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
