"""
One deployment of the kit's app: its processes, its jobs, and their story when a test fails.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import attrs

from chariots_core.errors import ChariotsError, JobNotFound
from chariots_core.jobs import JobEvent, JobRecord, JobStatus, JobStore, Reason
from chariots_core.testing.conformance.apps import KitApp, build_app
from chariots_core.testing.conformance.config import VARIABLE, KitConfig, Trap
from chariots_core.testing.conformance.ledger import Gate, Ledger
from chariots_core.testing.conformance.processes import (
    Process,
    Workers,
    end_orphans,
    wait_until,
)
from chariots_core.testing.conformance.remote import Remote
from chariots_core.testing.conformance.web import Web, free_port
from chariots_core.workers import BaseWorkerPool
from chariots_core.workers.contracts import Isolation, RunnerSettings, RunOutcome
from chariots_core.workers.runner import JobRunner
from chariots_core.workers.session import WorkerSettings

#: The app of the kit, as a command line names it.
MODULE: Final = "chariots_core.testing.conformance.served"

P = TypeVar("P", bound=Process)


@attrs.frozen
class Bounds:
    """
    How long things may take, in seconds.

    Attributes:
        scale: what the backend's own slowness multiplies everything by.
    """

    scale: float = 1.0

    @property
    def lease(self) -> float:
        """
        The lease of a running job.
        """
        return 1.0 * self.scale

    @property
    def crash_detection(self) -> float:
        """
        From the death of a worker to a record that tells of it: the lease, the
        next tick of whoever is alive, and slack for a loaded machine.
        """
        return self.lease + 4.0 * self.scale

    @property
    def deadline(self) -> float:
        """
        For what has no bound of its own: a test that hangs ends here.
        """
        return 20.0 * self.scale


class Deployment:
    """
    The kit's app under a name of its own, with the processes that serve it.

    Attributes:
        config: how each process builds the app, unless it is told otherwise.
        folder: ledgers, gates, logs.
        bounds: how long things may take.
        module: what a worker or web process is told to serve.
    """

    #: what Python runs as the command line
    launcher: ClassVar[Sequence[str]] = ("-m", "chariots_core.cli")

    #: what the configuration of every process carries for another module than the kit's
    extra: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self, *, worker_pool: Mapping[str, Any], folder: Path, bounds: Bounds, module: str = MODULE
    ) -> None:
        self.folder = folder
        self.bounds = bounds
        self.module = module
        self.config = KitConfig(
            name=f"kit-{uuid.uuid4().hex[:12]}",
            worker_pool=worker_pool,
            op_store=str(folder / "ops"),
            lease=bounds.lease,
            extra=self.extra,
        )
        self.processes: list[Process] = []
        self._jobs: list[str] = []

    # -- the app, in the test's own process

    @cached_property
    def app(self) -> KitApp:
        """
        The app, as the test's own process has it: it submits and looks up.
        """
        return self.build_app()

    def build_app(self) -> KitApp:
        """
        Build it.
        """
        return build_app(self.config)

    @property
    def pool(self) -> BaseWorkerPool:
        """
        The backend's pool.
        """
        return self.app.workers

    @property
    def store(self) -> JobStore:
        """
        The job store: reading it changes nothing.
        """
        return self.app.job_store

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
        if job_id not in self._jobs:
            self._jobs.append(job_id)
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

    # -- processes

    def worker(
        self,
        n: int = 1,
        *,
        isolation: Isolation = "warm",
        grace: float | None = None,
        launcher: Sequence[str] = (),
        **changes: Any,
    ) -> Workers:
        """
        Start worker processes by the command line.

        Args:
            n: how many.
            isolation: how they run an op.
            grace: seconds that they give to a job when they stop; ``None``: no bound.
            launcher: what Python runs.
            changes: of the configuration, for these processes only.
        """
        spec = f"{self.module}:app"
        settings = self.worker_settings(spec, isolation=isolation, grace=grace).to_json()
        command = [*(launcher or self.launcher), "worker", spec, "--settings", settings]
        argv = [sys.executable, *command]
        started = [self.process("worker", argv, **changes) for _ in range(n)]
        return Workers(started, ready=self.is_listed, timeout=self.bounds.deadline)

    def worker_settings(
        self, spec: str, *, isolation: Isolation, grace: float | None
    ) -> WorkerSettings:
        """
        How workers work: as ever, but quick to notice.
        """
        lease = self.bounds.lease
        return WorkerSettings(
            beat_interval=lease / 3,
            beat_ttl=1.5 * lease,
            tick_interval=lease / 3,
            grace=grace,
            runner=RunnerSettings(
                app_spec=spec,
                isolation=isolation,
                lease=lease,
                housekeeping_interval=lease / 4,
            ),
        )

    def remote(self, **changes: Any) -> Remote:
        """
        Start another process that does what the test says.
        """
        argv = [sys.executable, "-m", "chariots_core.testing.conformance.remote"]
        return self.process("remote", argv, kind=Remote, pipes=True, **changes)

    def web(self, *, arguments: Sequence[str] = (), **changes: Any) -> Web:
        """
        Start a server, and return once it answers.
        """
        port = free_port()
        command = [*self.launcher, "serve", f"{self.module}:server"]
        argv = [sys.executable, *command, "--host=127.0.0.1", f"--port={port}", *arguments]
        started = self.process("web", argv, kind=Web, **changes)
        return started.wait_ready(port, self.bounds.deadline)

    def process(
        self,
        name: str,
        argv: Sequence[str],
        *,
        kind: type[P] = Process,  # type: ignore[assignment]
        pipes: bool = False,
        **changes: Any,
    ) -> P:
        """
        Start a process with the deployment's configuration.
        """
        started = kind(
            f"{name}-{len(self.processes)}",
            argv,
            folder=self.folder,
            environment={VARIABLE: attrs.evolve(self.config, **changes).to_json()},
            pipes=pipes,
        )
        self.processes.append(started)
        return started

    def trap(self, at: str, signal: int) -> Trap:
        """
        A trap for one process, for its configuration.
        """
        return Trap(at=at, signal=signal, marker=str(self.folder / f"{at}.sprung"))

    def sprung(self, trap: Trap) -> bool:
        """
        Whether a process ran into *trap*.
        """
        return Path(trap.marker).exists()

    def is_listed(self, process: Process) -> bool:
        """
        Whether the store lists a worker that is *process*, or a child of it.
        """
        pids = process.pids
        return any(worker.pid in pids for worker in self.store.workers())

    # -- the end

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

    def close(self) -> None:
        """
        End every process, whatever became of its parent.
        """
        for process in self.processes:
            process.close()
        end_orphans(self.config.name)
        if "app" in self.__dict__:
            self.app.close()

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
