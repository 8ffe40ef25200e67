"""
Where a job runs: in a warm child, in a fresh one, or in a thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Final, TypeAlias

from chariots_core.errors import AppLoadError, ConfigurationError
from chariots_core.jobs.record import JobError, JobRecord, Progress
from chariots_core.jobs.status import Reason
from chariots_core.patience import bounded
from chariots_core.workers.contracts import JobOutput
from chariots_core.workers.isolation.child import preload
from chariots_core.workers.isolation.children import Child, ChildLost
from chariots_core.workers.isolation.failures import Failure
from chariots_core.workers.isolation.starting import (
    Host,
    Method,
    StartAborted,
    await_ready,
    choose_method,
    start_child,
)
from chariots_core.workers.isolation.wire import Frame, Raised, Returned, Start

#: How an attempt can end by itself.
Ending: TypeAlias = JobOutput | Failure

#: Seconds that a child which is not needed any more gets to end by itself.
_GRACE: Final = 1.0
_MIB: Final = 1 << 20


class Execution(ABC):
    """
    One attempt under way.
    """

    #: whether `stop` ends it whatever it does
    can_stop: ClassVar[bool]

    @abstractmethod
    def wait(self, timeout: float) -> Ending | None:
        """
        Wait for the end: for *timeout* seconds, or until the wake descriptor is readable.
        """

    @abstractmethod
    def progress(self) -> Progress | None:
        """
        What it reported, if that is new.
        """

    @abstractmethod
    def stop(self) -> None:
        """
        End it, and all that it started, where `can_stop`.
        """

    @abstractmethod
    def output(self) -> str | None:
        """
        What it printed so far, bounded; ``None`` where that cannot be told apart.
        """


class Executor(ABC):
    """
    Runs one attempt at a time.
    """

    @abstractmethod
    def prepare(self) -> None:
        """
        Do ahead of a job what need not wait for it.

        Raises:
            ConfigurationError: no job can be run here as the settings say.
            StartAborted: the worker is to stop before that was done.
        """

    @abstractmethod
    def can_go_on(self) -> bool:
        """
        Whether the next attempt could begin at once after the one that has just ended.
        """

    @abstractmethod
    def start(self, record: JobRecord) -> Execution:
        """
        Begin the attempt that *record* claims.

        Raises:
            StartAborted: the worker is to stop, and the attempt did not begin.
        """

    @abstractmethod
    def tidy(self) -> None:
        """
        Clear up after an attempt, once its outcome is committed.
        """

    @abstractmethod
    def close(self) -> None:
        """
        End what was started, and give everything back; idempotent.
        """


# -- in a child


class ChildExecution(Execution):
    """
    An attempt in a child process.
    """

    can_stop = True

    def __init__(self, child: Child) -> None:
        self._child = child

    def wait(self, timeout: float) -> Ending | None:
        try:
            frame = self._child.wait(timeout)
        except ChildLost as lost:
            error = JobError(type="ChildExited", message=str(lost))
            return Failure(reason=Reason.WORKER_LOST, error=error, retryable=True)
        return None if frame is None else _ending_of(frame)

    def progress(self) -> Progress | None:
        return self._child.progress()

    def stop(self) -> None:
        self._child.kill()

    def output(self) -> str:
        return self._child.output()


def _ending_of(frame: Frame) -> Ending | None:
    header = frame.header
    if isinstance(header, Returned):
        return JobOutput(
            value_json=frame.body.decode(),
            versions=header.versions,
            manifest_json=header.manifest_json,
            value_ref=header.value_ref,
        )
    if isinstance(header, Raised):
        return Failure(reason=header.reason, error=header.error, retryable=header.retryable)
    return None


class ChildExecutor(Executor):
    """
    Runs attempts in children: one for many jobs, or one for each.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._settings = host.settings
        self._child: Child | None = None
        self._method: Method | None = None

    def prepare(self) -> None:
        if self._settings.isolation == "warm" or self._choose() == "spawn":
            self._ready_child()
        else:
            # The fork for a job is made when the job is there: a copy of what is loaded here.
            with bounded(
                seconds=self._settings.store_patience, unless=lambda: self._host.switch.stopping
            ):
                preload(self._host.app)

    def can_go_on(self) -> bool:
        if self._settings.isolation == "fresh":
            # A fork is quick, a new interpreter loads everything anew.
            return self._method == "fork"
        return self._child is not None and not self._is_worn_out(self._child)

    def start(self, record: JobRecord) -> Execution:
        child = self._ready_child()
        start = Start(
            job_id=record.id,
            attempt=record.attempt,
            pipeline=record.pipeline,
            input_ref=record.input_ref,
        )
        body = (record.input_json or "").encode()
        child.begin(start, body, output_limit=self._settings.output_limit)
        return ChildExecution(child)

    def tidy(self) -> None:
        if self._child is None:
            return
        if self._settings.isolation == "fresh":
            self._drop(grace=0.0)
        elif self._is_worn_out(self._child):
            self._drop(grace=_GRACE)

    def close(self) -> None:
        self._drop(grace=_GRACE)

    def _ready_child(self) -> Child:
        child = self._child
        if child is not None and child.is_ready and not child.is_well():
            self._drop(grace=0.0)
        if self._child is None:
            self._child = start_child(self._host, self._choose())
        if not self._child.is_ready:
            self._await_ready(self._child)
        return self._child

    def _await_ready(self, child: Child) -> None:
        try:
            await_ready(child, self._host)
        except (AppLoadError, StartAborted):
            self._drop(grace=0.0)
            raise

    def _choose(self) -> Method:
        """
        How to start a child now. Threads that came up since the first one are
        no reason to give up a worker that cannot spawn.
        """
        try:
            self._method = choose_method(self._settings)
        except ConfigurationError:
            if self._method is None:
                raise
        return self._method

    def _is_worn_out(self, child: Child) -> bool:
        max_jobs, bound = self._settings.max_jobs, self._settings.recycle_rss_mb
        if max_jobs is not None and child.jobs >= max_jobs:
            return True
        return bound is not None and (child.rss() or 0) > bound * _MIB

    def _drop(self, *, grace: float) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.retire(grace)
