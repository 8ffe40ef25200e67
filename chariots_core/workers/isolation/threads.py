"""
Jobs in the worker's own process.
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
from chariots_core.workers.watch import Watch

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

    def end(self) -> None:
        """
        End it, which is at nothing now.
        """
        self.dismiss()
        self._thread.join()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
            os.write(self._told, b".")
        os.close(self._ended)
        os.close(self._told)


class _OwnExecution(Execution):
    """
    An attempt in this process.
    """

    can_stop = False

    def __init__(self, app: RunnerApp, record: JobRecord) -> None:
        self._app = app
        self._ending: Ending | None = None
        self._progress: Progress | None = None
        self._job = JobInput(
            job_id=record.id,
            attempt=record.attempt,
            pipeline=record.pipeline,
            input_json=record.input_json,
            input_ref=record.input_ref,
            report=self._report,
        )

    @property
    def is_over(self) -> bool:
        """
        Whether it has come to its end.
        """
        return self._ending is not None

    def progress(self) -> Progress | None:
        progress, self._progress = self._progress, None
        return progress

    def stop(self) -> None:
        """
        Do nothing: no code of this process can be ended from outside.
        """

    def output(self) -> None:
        return None

    def _run(self) -> None:
        try:
            self._ending = self._app.execute_job(self._job)
        except BaseException as error:  # noqa: BLE001  whatever an op raises is its failure
            self._ending = failure_of(error)

    def _report(self, progress: Progress) -> None:
        self._progress = progress


class ThreadExecution(_OwnExecution):
    """
    An attempt in a thread of its own.
    """

    def __init__(self, helper: _Helper, app: RunnerApp, record: JobRecord) -> None:
        super().__init__(app, record)
        self._helper = helper
        helper.do(self._run)

    def wait(self, timeout: float) -> Ending | None:
        self._helper.wait(max(0.0, timeout))
        return self._ending


class WatchedExecution(_OwnExecution):
    """
    An attempt in the thread that waits for it, while another one is on watch.
    """

    def __init__(self, watch: Watch, app: RunnerApp, record: JobRecord) -> None:
        super().__init__(app, record)
        self._watch = watch

    def wait(self, timeout: float) -> Ending | None:
        """
        Run it to its end, however long that takes, unless something is due before.
        """
        if not self.is_over:
            if timeout <= 0:
                return None
            with self._watch.in_job():
                self._run()
        return self._ending


class WatchedExecutor(Executor):
    """
    Runs attempts in the thread that asks for them.
    """

    def __init__(self, host: Host, watch: Watch) -> None:
        self._host = host
        self._watch = watch

    def prepare(self) -> None:
        """
        Do nothing: all is there.
        """

    def can_go_on(self) -> bool:
        return True

    def start(self, record: JobRecord) -> Execution:
        return WatchedExecution(self._watch, self._host.app, record)

    def tidy(self) -> None:
        """
        Do nothing: nothing is left.
        """

    def close(self) -> None:
        """
        Do nothing: nothing is left.
        """


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
            self._helper.end()
            self._helper = None
