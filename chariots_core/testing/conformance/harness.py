"""
One deployment of the kit's app: its processes, its jobs, and their story when a test fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from chariots_core.errors import ChariotsError, JobNotFound
from chariots_core.jobs import JobEvent, JobQuery, JobRecord, JobStatus, Reason
from chariots_core.testing.conformance.bounds import Bounds
from chariots_core.testing.conformance.launch import MODULE, Launcher
from chariots_core.testing.conformance.ledger import Gate, Ledger
from chariots_core.testing.conformance.processes import wait_until
from chariots_core.workers.contracts import RunnerSettings, RunOutcome
from chariots_core.workers.runner import JobRunner


class Deployment(Launcher):
    """
    The kit's app under a name of its own: its jobs, and the processes that serve it.
    """

    def __init__(
        self, *, worker_pool: Mapping[str, Any], folder: Path, bounds: Bounds, module: str = MODULE
    ) -> None:
        super().__init__(worker_pool=worker_pool, folder=folder, bounds=bounds, module=module)
        self._jobs: list[str] = []

    # -- jobs

    def submit(self, pipeline: str, value: Any = None, **options: Any) -> JobRecord:
        """
        Submit a job, as a request with ``use_worker`` would.
        """
        record = self.app.submit(pipeline, value, **options).record
        self._jobs.append(record.id)
        return record

    def write(self, name: str = "job", **options: Any) -> JobRecord:
        """
        Submit a job that writes to the ledger *name* and waits for the gate *name*.
        """
        return self.submit("write", self.task(name), **options)

    def task(self, name: str = "job", **more: Any) -> dict[str, Any]:
        """
        The input of ops that write to a ledger and wait for a gate.
        """
        return {"ledger": str(self.ledger(name).path), "gate": str(self.gate(name).path), **more}

    def ledger(self, name: str = "job") -> Ledger:
        """
        What the ops that were told *name* wrote down.
        """
        return Ledger(self.folder / f"{name}.ledger")

    def gate(self, name: str = "job") -> Gate:
        """
        What keeps the ops that were told *name* waiting.
        """
        return Gate(self.folder / f"{name}.gate")

    def fetch(self, job_id: str) -> JobRecord:
        """
        Look a job up, as a request would: what is due for it is settled first.
        """
        return self.app.fetch_job(job_id)

    def peek(self, job_id: str) -> JobRecord:
        """
        Read a job's record and change nothing.
        """
        return self.store.get(job_id)

    def jobs(self) -> list[str]:
        """
        The ids of the newest jobs that the store has of this app, whoever submitted them.
        """
        return [record.id for record in self.store.list_jobs(JobQuery())]

    def events(self, job_id: str) -> Sequence[JobEvent]:
        """
        What happened to a job.
        """
        return self.store.events(job_id)

    def states(self, job_id: str) -> list[JobStatus]:
        """
        The statuses that a job went through.
        """
        return [event.status for event in self.events(job_id) if event.kind == "state"]

    def deliver(self, message: str) -> RunOutcome | None:
        """
        Do what a worker does that finds *message* in its queue; ``None``: it names no job.
        """
        settings = RunnerSettings(isolation="thread")
        with JobRunner(self.app, worker_id="delivery", settings=settings) as runner:
            try:
                return runner.run(message)
            except JobNotFound:
                return None

    # -- waiting

    def until(
        self,
        predicate: Callable[[], object],
        what: str,
        timeout: float = 0.0,
        interval: float = 0.01,
    ) -> None:
        """
        Wait for a condition; a failure tells the story of every job.
        """
        wait_until(
            predicate,
            timeout=timeout or self.bounds.deadline,
            message=lambda: f"{what}\n{self.story()}",
            interval=interval,
        )

    def finished(self, job_id: str, timeout: float = 0.0) -> JobRecord:
        """
        Wait for a job's end by looking it up, and return its record.
        """
        # What is waited for last is told first of all.
        self._jobs = [*(known for known in self._jobs if known != job_id), job_id]
        self.until(lambda: self.fetch(job_id).status.is_final, f"{job_id} ends", timeout)
        return self.fetch(job_id)

    def started(self, name: str = "job", times: int = 1) -> int:
        """
        Wait until ops that were told *name* started so often; the newest one's process.
        """
        ledger = self.ledger(name)
        self.until(lambda: len(ledger.starts()) >= times, f"{name} starts ({times})")
        return ledger.starts()[-1].pid

    def lease_over(self, times: float = 2.0) -> None:
        """
        Wait until so many leases have passed, by the store's clock.
        """
        start = self.store.now()
        seconds = times * self.bounds.lease
        self.until(lambda: (self.store.now() - start).total_seconds() > seconds, "time passes")

    def done(self, job_id: str, timeout: float = 0.0) -> Any:
        """
        Wait for a job's success, and return its value.
        """
        record = self.finished(job_id, timeout)
        assert record.status is JobStatus.done, self.story()
        return record.value

    def failed(self, job_id: str, reason: str, timeout: float = 0.0) -> JobRecord:
        """
        Wait for a job's failure, check why, and return its record.
        """
        record = self.finished(job_id, timeout)
        assert (JobStatus.failed, reason) == (record.status, record.reason), self.story()
        return record

    def lost(self, job_id: str) -> JobRecord:
        """
        Wait, within the bound for crashes, until a job failed as its worker was lost.
        """
        return self.failed(job_id, Reason.WORKER_LOST, self.bounds.crash_detection)

    def serves(self, timeout: float = 0.0) -> JobRecord:
        """
        Show that a worker takes jobs: one more job runs to its end.
        """
        record = self.submit("echo", "still here")
        self.done(record.id, timeout)
        return self.fetch(record.id)

    # -- what to say when it fails

    def story(self) -> str:
        """
        Every job's record and events, and every process's log.
        """
        jobs = [self._job_story(job_id) for job_id in self._jobs[-5:]]
        logs = [
            f"== {process.name} (pid {process.pid}, exit {process.popen.poll()})\n"
            f"{process.output()}"
            for process in self.processes
        ]
        return "\n".join([f"app {self.config.name}", *jobs, *logs])

    def _job_story(self, job_id: str) -> str:
        try:
            record, events = self.peek(job_id), self.events(job_id)
        except ChariotsError as error:
            return f"== job {job_id}: {error}"
        return "\n".join([f"== {record}", *(_event_story(event) for event in events)])


def times(record: JobRecord) -> list[datetime]:
    """
    When a job that has come to its end was created, queued, started and finished.
    """
    found = [record.created_at, record.queued_at, record.started_at, record.finished_at]
    assert None not in found, record
    return [time for time in found if time is not None]


def _event_story(event: JobEvent) -> str:
    data = str(dict(event.data))[:500]
    return f"  {event.at} {event.kind} {event.status.value} {event.reason} #{event.attempt} {data}"
