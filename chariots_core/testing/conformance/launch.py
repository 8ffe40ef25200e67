"""
Starting the processes of one app: workers, servers, others, each with its configuration.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import attrs

from chariots_core.jobs import JobStore
from chariots_core.testing.conformance.apps import KitApp, build_app
from chariots_core.testing.conformance.bounds import Bounds
from chariots_core.testing.conformance.config import VARIABLE, KitConfig, Trap
from chariots_core.testing.conformance.processes import Process, Workers, end_orphans
from chariots_core.testing.conformance.remote import Remote
from chariots_core.testing.conformance.web import Web, free_port
from chariots_core.workers import BaseWorkerPool
from chariots_core.workers.contracts import Isolation, RunnerSettings
from chariots_core.workers.settings import WorkerSettings

#: The app of the kit, as a command line names it.
MODULE: Final = "chariots_core.testing.conformance.served"

P = TypeVar("P", bound=Process)


class Launcher:
    """
    The kit's app under a name of its own, and the processes that serve it.

    Attributes:
        config: how each process builds the app, unless it is told otherwise.
        folder: what the processes write.
        bounds: how long things may take.
        module: what a worker or web process is told to serve.
        processes: all that were started.
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

    # -- processes

    def worker(
        self,
        n: int = 1,
        *,
        isolation: Isolation = "warm",
        grace: float | None = None,
        queues: Sequence[str] = ("default",),
        launcher: Sequence[str] = (),
        **changes: Any,
    ) -> Workers:
        """
        Start worker processes by the command line.

        Args:
            n: how many.
            isolation: how they run an op.
            grace: seconds that they give to a job when they stop; ``None``: no bound.
            queues: what they take jobs from.
            launcher: what Python runs.
            changes: of the configuration, for these processes only.
        """
        spec = f"{self.module}:app"
        settings = self.worker_settings(spec, isolation, grace, queues).to_json()
        command = [*(launcher or self.launcher), "worker", spec, "--settings", settings]
        argv = [sys.executable, *command]
        started = [self.process("worker", argv, **changes) for _ in range(n)]
        return Workers(started, ready=self.is_listed, timeout=self.bounds.deadline)

    def worker_settings(
        self, spec: str, isolation: Isolation, grace: float | None, queues: Sequence[str]
    ) -> WorkerSettings:
        """
        How workers work: as ever, but quick to notice.
        """
        lease = self.bounds.lease
        return WorkerSettings(
            queues=tuple(queues),
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

    def close(self) -> None:
        """
        End every process, whatever became of its parent.
        """
        for process in self.processes:
            process.close()
        end_orphans(self.config.name)
        if "app" in self.__dict__:
            self.app.close()
