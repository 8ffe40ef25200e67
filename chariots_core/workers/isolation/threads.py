"""
Jobs in a thread of the worker's own process.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias

from chariots_core.jobs.record import JobRecord, Progress
from chariots_core.workers.contracts import JobInput, RunnerApp
from chariots_core.workers.isolation.executors import Ending, Execution, Executor
from chariots_core.workers.isolation.failures import failure_of
from chariots_core.workers.isolation.starting import Host

_Work: TypeAlias = "SimpleQueue[Callable[[], None] | None]"


class _Helper:
    """
    A thread that does one thing after the other; a byte in its pipe tells of each end.

    Args:
        wake: what else ends a wait for that.
    """

    def __init__(self, wake: int) -> None:
        self._ended, self._told = os.pipe()
        self._poller = select.poll()
        for fd in (self._ended, wake):
            self._poller.register(fd, select.POLLIN)
        self._work: _Work = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="chariots-job", daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], None]) -> None:
        """
        Have it do something that raises nothing.
        """
        self._work.put(work)

    def wait(self, seconds: float) -> None:
        """
        Wait for the end of what it is at, or to be woken.
        """
        self._poller.poll(seconds * 1000)

    def rest(self) -> None:
        """
        Take note of an end.
        """
        os.read(self._ended, 1)

    def dismiss(self) -> None:
        """
        Let it end, once it has done what it is at.
        """
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            os.write(self._told, b".")
        os.close(self._ended)
        os.close(self._told)


class ThreadExecution(Execution):
    """
    An attempt in a thread of this process.
    """

    can_stop = False

    def __init__(self, helper: _Helper, app: RunnerApp, record: JobRecord) -> None:
        self._app = app
        self._helper = helper
        self._ending: Ending | None = None
        self._progress: Progress | None = None
        job = JobInput(
            job_id=record.id,
            attempt=record.attempt,
            pipeline=record.pipeline,
            input_json=record.input_json,
            input_ref=record.input_ref,
            report=self._report,
        )
        helper.do(lambda: self._run(job))

    @property
    def is_over(self) -> bool:
        """
        Whether it has come to its end.
        """
        return self._ending is not None

    def wait(self, timeout: float) -> Ending | None:
        self._helper.wait(max(0.0, timeout))
        return self._ending

    def progress(self) -> Progress | None:
        progress, self._progress = self._progress, None
        return progress

    def stop(self) -> None:
        """
        Do nothing: no thread can be ended from outside.
        """

    def output(self) -> None:
        return None

    def _run(self, job: JobInput) -> None:
        try:
            self._ending = self._app.execute_job(job)
        except BaseException as error:  # noqa: BLE001  whatever an op raises is its failure
            self._ending = failure_of(error)

    def _report(self, progress: Progress) -> None:
        self._progress = progress


class ThreadExecutor(Executor):
    """
    Runs attempts in a thread of this process: the same one, for as long as each ends.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._helper: _Helper | None = None
        self._execution: ThreadExecution | None = None

    def prepare(self) -> None:
        """
        Do nothing: a thread starts quickly.
        """

    def can_go_on(self) -> bool:
        return True

    def start(self, record: JobRecord) -> Execution:
        self._helper = self._helper or _Helper(self._host.switch.fd)
        self._execution = ThreadExecution(self._helper, self._host.app, record)
        return self._execution

    def tidy(self) -> None:
        execution, self._execution = self._execution, None
        if execution is None or self._helper is None:
            return
        if execution.is_over:
            self._helper.rest()
        else:
            # It goes on with what nobody waits for any more.
            self._helper.dismiss()
            self._helper = None

    def close(self) -> None:
        self.tidy()
        if self._helper is not None:
            self._helper.dismiss()
            self._helper = None
