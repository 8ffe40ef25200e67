"""
Backends that are broken on purpose, each in one way: the kit has to notice.

Workers serve ``tests.conformance.broken:app``; which fault it has, the
configuration says.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from chariots_core.errors import JobNotFound, NotJSONError
from chariots_core.jobs import (
    Created,
    FromNow,
    Guard,
    IdempotencyKey,
    JobRecord,
    JobStatus,
    JobStore,
    NewEvent,
    NewJob,
)
from chariots_core.op_store import Manifest
from chariots_core.testing.conformance import WorkerPoolConformance
from chariots_core.testing.conformance.apps import KitApp
from chariots_core.testing.conformance.config import KitConfig
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.remote import Remote
from chariots_core.testing.conformance.remote import main as serve_test
from chariots_core.testing.conformance.store_proxy import StoreProxy
from chariots_core.workers import SubmitRequest, WorkerSession
from chariots_core.workers.contracts import JobInput, JobOutput
from chariots_core.workers.handle import WorkerProcess


class InMemory(StoreProxy):
    """
    A reader knows the jobs that its own process has recorded, as from a dict.
    """

    def __init__(self, inside: JobStore) -> None:
        super().__init__(inside)
        self._mine: set[str] = set()

    def create(self, job: NewJob, *, idempotency: IdempotencyKey | None = None) -> Created:
        self._mine.add(job.id)
        return super().create(job, idempotency=idempotency)

    def get(self, job_id: str) -> JobRecord:
        if job_id not in self._mine:
            raise JobNotFound(f"no job {job_id!r}", job_id=job_id)
        return super().get(job_id)


class WithoutOptions(StoreProxy):
    """
    Priorities and delays are accepted, and forgotten.
    """

    def create(self, job: NewJob, *, idempotency: IdempotencyKey | None = None) -> Created:
        return super().create(attrs.evolve(job, priority=0, delay=0.0), idempotency=idempotency)


class WithoutFencing(StoreProxy):
    """
    Whoever ran a job last may commit it: tokens are not compared.
    """

    def _compare_and_set(
        self,
        guard: Guard,
        status: JobStatus,
        changes: Mapping[str, Any],
        events: Sequence[NewEvent],
    ) -> JobRecord | None:
        guard = attrs.evolve(guard, token=None, attempt=None)
        return super()._compare_and_set(guard, status, changes, events)


class WithoutLeases(StoreProxy):
    """
    A running job is believed alive for ever.
    """

    def due(self, *, job_id: str | None = None, limit: int = 100) -> Sequence[JobRecord]:
        found = super().due(job_id=job_id, limit=limit)
        return [record for record in found if record.status is not JobStatus.running]


class WithoutCounting(StoreProxy):
    """
    Attempts are not counted: each one is the first.
    """

    def claim_next(
        self, *, backend: str, queues: Sequence[str], worker: str, lease: float
    ) -> JobRecord | None:
        record = super().claim_next(backend=backend, queues=queues, worker=worker, lease=lease)
        if record is None:
            return None
        guard = Guard(job_id=record.id, status=JobStatus.running, token=record.token)
        return self.inside.compare_and_set(guard, None, {"attempt": 1})


class LateQueued(StoreProxy):
    """
    A reader sometimes sees a job that is done as queued once more.
    """

    reads = 0

    def get(self, job_id: str) -> JobRecord:
        record = super().get(job_id)
        self.reads += 1
        if record.status is JobStatus.done and self.reads % 50 == 0:
            return attrs.evolve(record, status=JobStatus.queued)
        return record


class DoneBeforeResult(StoreProxy):
    """
    A reader sometimes sees that a job is done before it can see the result.
    """

    reads = 0

    def get(self, job_id: str) -> JobRecord:
        record = super().get(job_id)
        self.reads += 1
        if record.status is JobStatus.done and self.reads % 50 == 0:
            return attrs.evolve(record, value_json=None)
        return record


class DoneBeforeModels(StoreProxy):
    """
    A training is done with its commit, before its models are published.
    """

    def _compare_and_set(
        self,
        guard: Guard,
        status: JobStatus,
        changes: Mapping[str, Any],
        events: Sequence[NewEvent],
    ) -> JobRecord | None:
        if changes.get("manifest_json") is not None:
            status = JobStatus.done
            changes = {**changes, "reason": None, "finished_at": FromNow(), "resend_at": None}
        return super()._compare_and_set(guard, status, changes, events)


STORES: Mapping[str, type[StoreProxy]] = {
    "in memory": InMemory,
    "without options": WithoutOptions,
    "without fencing": WithoutFencing,
    "without leases": WithoutLeases,
    "without counting": WithoutCounting,
    "late queued": LateQueued,
    "done before result": DoneBeforeResult,
    "done before models": DoneBeforeModels,
}


class BrokenApp(KitApp):
    """
    The kit's app with one fault.
    """

    def __init__(self, config: KitConfig) -> None:
        super().__init__(config)
        self.fault = str(config.extra["fault"])
        broken = STORES.get(self.fault)
        if broken is not None:
            self._break_store(broken)
        match self.fault:
            case "ready at once":
                self._break_spawn()
            case "popped before the claim" | "kept until the end":
                self._use_files(Path(config.op_store).with_name("queue"))
            case "connected before the fork":
                self._held = _connection()
            case "unchecked options":
                self._check_nothing()

    def fetch_job(self, job_id: str) -> JobRecord:
        try:
            return super().fetch_job(job_id)
        except JobNotFound:
            if self.fault != "none for unknown":
                raise
            return None  # type: ignore[return-value]

    def execute_job(self, job: JobInput) -> JobOutput:
        if self.fault == "orphans":
            # Takes back the child's wish to die with its parent.
            ctypes.CDLL(None).prctl(1, 0)
        if self.fault == "shared seed":
            sys.modules["numpy.random"].seed(7)
        try:
            output = super().execute_job(job)
        except NotJSONError:
            if self.fault != "swallowed result":
                raise
            return JobOutput(value_json='"unserializable return value"')
        if self.fault == "published by the attempt" and output.manifest_json is not None:
            self.op_store.publish(Manifest.from_json(output.manifest_json))
        return output

    def _break_store(self, broken: type[StoreProxy]) -> None:
        pool, make = self.workers, self.workers.create_job_store

        def create_job_store(app: str) -> JobStore:
            return broken(make(app))

        pool.create_job_store = create_job_store  # type: ignore[method-assign]

    def _use_files(self, folder: Path) -> None:
        """
        A queue of files, none of which is sent again; with the fault a message is gone before
        its job is claimed.
        """
        folder.mkdir(exist_ok=True)
        early = self.fault == "popped before the claim"

        def submit(request: SubmitRequest) -> None:
            (folder / request.message_id).touch()

        def run_worker(session: WorkerSession) -> None:
            while session.keep_running():
                for message in sorted(folder.iterdir()):
                    if early:
                        message.unlink(missing_ok=True)
                    session.run(message.name.rpartition("-")[0])
                    message.unlink(missing_ok=True)
                session.wait(0.05)

        self.workers.submit = submit  # type: ignore[method-assign]
        self.workers.run_worker = run_worker  # type: ignore[method-assign]

    def _check_nothing(self) -> None:
        self.workers.check_supported = lambda job: None  # type: ignore[method-assign]

    def _break_spawn(self) -> None:
        pool, spawn = self.workers, self.workers.spawn_worker

        def spawn_worker(**options: Any) -> WorkerProcess:
            worker = spawn(**options)
            # Not by luck: it is slow to begin, for as long as the test looks.
            os.kill(worker.pid, signal.SIGSTOP)
            threading.Timer(3.0, os.kill, (worker.pid, signal.SIGCONT)).start()
            worker.wait_ready = lambda timeout=0.0: worker  # type: ignore[method-assign]
            return worker

        pool.spawn_worker = spawn_worker  # type: ignore[method-assign]


def _connection() -> tuple[socket.socket, socket.socket]:
    """
    A connection to a server of this machine, with the server's end.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        return client, server.accept()[0]


class BrokenDeployment(Deployment):
    """
    Every process, the test's own included, has the fault.
    """

    def remote(self, **changes: Any) -> Remote:
        argv = [sys.executable, "-m", __name__]
        return self.process("remote", argv, kind=Remote, pipes=True, **changes)

    def build_app(self) -> BrokenApp:
        return BrokenApp(self.config)


class BrokenBackend(WorkerPoolConformance):
    """
    The kit on a broken backend; a subclass names the fault.
    """

    fault: ClassVar[str]

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
        """
        The backend below the fault.
        """
        store = tmp_path_factory.mktemp("store") / "jobs.db"
        return {"backend": "local", "url": f"sqlite:///{store}"}

    @pytest.fixture(scope="class")
    @classmethod
    def time_scale(cls) -> float:
        """
        What does not come is not waited for as long as what is slow.
        """
        return 0.4

    @pytest.fixture(scope="class")
    @classmethod
    def deployment_type(cls) -> type[Deployment]:
        """
        Deployments with the fault.
        """
        return type("Faulty", (BrokenDeployment,), {"extra": {"fault": cls.fault}})

    @pytest.fixture(scope="class")
    @classmethod
    def kit_module(cls) -> str:
        """
        This module.
        """
        return __name__


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = BrokenApp(KitConfig.from_environment())
    globals()[name] = made
    return made


if __name__ == "__main__":
    serve_test(BrokenApp)
