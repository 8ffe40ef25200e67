"""
Starting workers as children of this process.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

import attrs

from chariots_core.errors import BackendMisconfigured
from chariots_core.workers.contracts import Isolation, RunnerSettings, StartMethod
from chariots_core.workers.handle import WorkerProcess
from chariots_core.workers.isolation.unix import die_with_parent, flush_output
from chariots_core.workers.process import EXIT_ERROR, run_worker_process
from chariots_core.workers.settings import WorkerSettings

if TYPE_CHECKING:
    from chariots_core.workers.pool import BaseWorkerPool


def spawn_worker(
    pool: BaseWorkerPool,
    *,
    queues: tuple[str, ...] = ("default",),
    isolation: Isolation = "warm",
    start_method: StartMethod = "auto",
    settings: WorkerSettings | None = None,
    quiet: bool = True,
) -> WorkerProcess:
    """
    Start a worker for *pool*; see `BaseWorkerPool.spawn_worker`.

    If a newer app of this process runs the pool's jobs, the worker is the newer app's.

    Args:
        pool: a pool that is bound to its app.
        queues: the queues it takes jobs from.
        isolation: how it runs jobs.
        start_method: ``"fork"``, ``"spawn"`` or ``"auto"``.
        settings: everything, instead of *queues* and *isolation*.
        quiet: keep its output in the handle, or else let it go where this
            process's output goes.
    """
    newest = getattr(pool.app, "newest", None)
    if newest is not None:
        pool = newest().pool or pool
    if settings is None:
        spec = getattr(pool.app, "import_spec", None)
        runner = RunnerSettings(isolation=isolation, app_spec=spec)
        settings = WorkerSettings(queues=queues, runner=runner)
    worker = _start(pool, settings, start_method, quiet=quiet)
    worker.jobs_key, worker.creator = pool.jobs_key, getattr(pool.app, "creator", None)
    return worker


def _start(
    pool: BaseWorkerPool, settings: WorkerSettings, start_method: StartMethod, *, quiet: bool
) -> WorkerProcess:
    spec: str | None = getattr(pool.app, "import_spec", None)
    if start_method == "auto":
        start_method = "fork" if threading.active_count() == 1 or spec is None else "spawn"
    if start_method == "fork":
        return _fork(pool, settings, _log_file() if quiet else None)
    if spec is None:
        raise BackendMisconfigured(
            f"app {pool.app.name!r} cannot be imported by a new process: move it to a module "
            f"and name it 'module:attribute', or start the worker by start_method='fork'",
            backend=pool.name,
        )
    return start_workers(spec, settings=settings, quiet=quiet)


def start_workers(
    app_spec: str,
    *,
    processes: int = 1,
    settings: WorkerSettings | None = None,
    quiet: bool = False,
) -> WorkerProcess:
    """
    Run the command ``chariots worker`` as a child of this process.

    With more than one process, the child starts them, starts them anew when
    they die, and stops them when it is stopped or this process ends.

    Args:
        app_spec: the app, as ``module:attribute``.
        processes: how many workers.
        settings: how they work.
        quiet: keep their output in the handle, or else let it go where this
            process's output goes.
    """
    settings = settings or WorkerSettings()
    pipes = _Pipes.open()
    log = _log_file() if quiet else None
    output = None if log is None else log.fileno()
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "chariots_core.cli", "worker", app_spec),
            *(f"--settings={settings.to_json()}", f"--processes={processes}"),
            *pipes.arguments(),
        ],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=pipes.of_child,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": _python_path()},
    )
    # The handle reaps it; Popen is to know that.
    child.returncode = 0
    pipes.close_child()
    return pipes.handle(child.pid, log)


def _log_file() -> IO[bytes]:
    return tempfile.TemporaryFile(buffering=0)


def _python_path() -> str:
    # What this process can import, the child is to find as well.
    return os.pathsep.join(path or str(Path.cwd()) for path in sys.path)


@attrs.frozen
class _Pipes:
    """
    The two pipes between a worker and the process that started it.
    """

    lifeline: tuple[int, int]
    ready: tuple[int, int]

    @classmethod
    def open(cls) -> _Pipes:
        return cls(os.pipe(), os.pipe())

    @property
    def of_child(self) -> tuple[int, int]:
        return self.lifeline[0], self.ready[1]

    def close_child(self) -> None:
        for fd in self.of_child:
            os.close(fd)

    def close_parent(self) -> None:
        for fd in (self.lifeline[1], self.ready[0]):
            os.close(fd)

    def arguments(self) -> list[str]:
        arguments = [f"--lifeline-fd={self.lifeline[0]}", f"--ready-fd={self.ready[1]}"]
        if threading.current_thread() is threading.main_thread():
            arguments.append(f"--parent={os.getpid()}")
        return arguments

    def handle(self, pid: int, log: IO[bytes] | None) -> WorkerProcess:
        return WorkerProcess(pid, lifeline=self.lifeline[1], ready=self.ready[0], log=log)


def _fork(pool: BaseWorkerPool, settings: WorkerSettings, log: IO[bytes] | None) -> WorkerProcess:
    pipes = _Pipes.open()
    parent = os.getpid()
    in_main_thread = threading.current_thread() is threading.main_thread()
    flush_output()
    with warnings.catch_warnings():
        # Newer Pythons warn where there are threads; `start_method` says what to do then.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _in_child(
            lambda: _be_worker(pool, settings, pipes, log, parent if in_main_thread else None)
        )
    pipes.close_child()
    return pipes.handle(pid, log)


def _in_child(run: Callable[[], int]) -> NoReturn:
    # Nothing of the parent's program may run on in the child, whatever happens.
    code = EXIT_ERROR
    try:
        code = run()
    except BaseException:  # noqa: BLE001 - there is nobody above
        traceback.print_exc()
    finally:
        flush_output()
        os._exit(code)


def _be_worker(
    pool: BaseWorkerPool,
    settings: WorkerSettings,
    pipes: _Pipes,
    log: IO[bytes] | None,
    parent: int | None,
) -> int:
    os.setsid()
    pipes.close_parent()
    if parent is not None:
        die_with_parent(parent)
    _redirect(log)
    # What the parent does on signals is not for this process to do.
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    pool.after_fork_in_child()
    return run_worker_process(
        pool, settings, lifeline=pipes.lifeline[0], on_ready=say_ready(pipes.ready[1]), last=True
    )


def say_ready(fd: int) -> Callable[[], None]:
    """
    A function that tells whoever holds the other end of *fd* that this worker is ready.
    """

    def say() -> None:
        try:
            os.write(fd, b"1")
        except BrokenPipeError:
            # Whoever wanted to know is gone; the lifeline tells the rest.
            pass
        finally:
            os.close(fd)

    return say


def _redirect(log: IO[bytes] | None) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    if log is not None:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        # What the parent put there may belong to a notebook or a test runner.
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        _log_to_stderr()
    os.close(null)


def _log_to_stderr() -> None:
    root = logging.getLogger()
    # The parent's terminal is not this worker's; what it logs to files goes on.
    root.handlers = [h for h in root.handlers if type(h) is not logging.StreamHandler]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root.addHandler(handler)
