"""
Serving an app: web processes, workers beside them, and one process that keeps
them all alive and takes them all along when it ends.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from chariots_core.app import app_of, load_object
from chariots_core.errors import AppLoadError, BackendNotConfigured
from chariots_core.server.children import Forked
from chariots_core.server.ports import answers, reserved_port, url_of
from chariots_core.server.server import PipelinesServer
from chariots_core.server.web_signals import end_early_children, handle_beside_main
from chariots_core.workers.app_specs import full_spec
from chariots_core.workers.contracts import RunnerSettings
from chariots_core.workers.handle import WorkerProcess
from chariots_core.workers.isolation.unix import die_with_parent
from chariots_core.workers.pool import BaseWorkerPool
from chariots_core.workers.risks import tell_risks
from chariots_core.workers.settings import WorkerSettings
from chariots_core.workers.signals import StopSignals
from chariots_core.workers.spawn import spawn_worker
from chariots_core.workers.supervisor import LAST_GRACE, Slot, Supervisor

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_log = logging.getLogger(__name__)

#: Threads of a web process: so many requests can wait for something at the same time.
THREADS: Final = 8

#: Seconds that requests and jobs under way may still take.
GRACE: Final = 30.0


def serve(
    app: str | PipelinesServer,
    *,
    host: str = "127.0.0.1",
    port: int = 5000,
    processes: int | None = None,
    threads: int = THREADS,
    job_workers: int = 0,
    log_level: str = "info",
    grace: float = GRACE,
) -> int:
    """
    Serve an app until SIGTERM or SIGINT, and leave nothing running.

    A process that dies is replaced; when this one dies, the others end with it.
    A second signal ends the grace: jobs are settled as lost, requests are cut off.

    Args:
        app: a server, or where it is, as ``module:attribute``.
        host: where to listen.
        port: where to listen; 0 takes a free port. Where it is, is printed
            once requests are taken.
        processes: web processes; by default one for each core.
        threads: threads in each of them.
        job_workers: workers of the app's backend, beside the server.
        log_level: the least important messages that are shown.
        grace: seconds that requests and jobs under way may still take.

    Returns:
        The exit code: 0; 3 where something was left unfinished.

    Raises:
        ConfigurationError: the app, its backend or the port cannot be used.
        UnsupportedCapability: job workers are wanted, and the backend has none.
        StoreUnavailable: a store of the app cannot be opened.
        ChildFailed: a process ended at its start.
    """
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s [%(process)d] %(message)s"
    )
    server = load_server(app)
    processes = processes or _cores()
    with reserved_port(host, port) as (address, number), StopSignals(grace=grace) as signals:
        _check_stores(server, job_workers)
        web = web_slot(
            partial(_begin, server),
            host=address,
            port=number,
            processes=processes,
            threads=threads,
            grace=grace,
        )
        beside = f", {counted(job_workers, 'job worker')}" if job_workers else ""
        details = f"{counted(processes, 'web process', 'es')}{beside}"
        announce = announcement(server.chariots.name, host, number, details)
        slots = [web, *(_worker_slot(server) for _ in range(job_workers))]
        return Supervisor(slots, signals=signals).run(announce)


def load_server(app: str | PipelinesServer) -> PipelinesServer:
    """
    The server that *app* is, or names.

    Raises:
        AppLoadError: it cannot be imported, or is none.
    """
    if isinstance(app, PipelinesServer):
        return app
    found = load_object(app)
    if not isinstance(found, PipelinesServer):
        raise AppLoadError(
            f"app {app!r} is of type {type(found).__name__}, and cannot be served: give a PipelinesServer"
        )
    app_of(found).import_spec = full_spec(app)
    return found


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_stores(server: PipelinesServer, job_workers: int) -> None:
    app = server.chariots
    app.open()
    if app.pool is not None:
        if job_workers:
            app.pool.capabilities.require("spawn", backend=app.pool.name)
        app.job_store.ping()
        tell_risks(app.job_store)
        app.neighbours.compare()
    elif job_workers:
        raise BackendNotConfigured(
            f"app {app.name!r} has no worker backend for {counted(job_workers, 'job worker')}: "
            "give it a worker_pool (e.g. 'local')"
        )
    # Connections belong to one process; each child makes its own.
    app.close()


def _worker_slot(server: PipelinesServer) -> Slot:
    app = server.chariots
    settings = WorkerSettings(runner=RunnerSettings(app_spec=app.import_spec))

    def start() -> WorkerProcess:
        assert app.pool is not None
        if getattr(app.pool.spawn_worker, "__func__", None) is not BaseWorkerPool.spawn_worker:
            # how its workers begin is for the pool to say
            return app.pool.spawn_worker(start_method="fork")
        return spawn_worker(app.pool, settings=settings, start_method="fork", quiet=False)

    return Slot("job worker", start)


def announcement(name: str, host: str, port: int, details: str) -> Callable[[], bool]:
    """
    What says where the server is, once it answers; gives whether it does.
    """

    def announce() -> bool:
        if not answers(host, port):
            return False
        print(  # noqa: T201 - what an operator looks for
            f"serving {name} on {url_of(host, port)} ({details})", flush=True
        )
        return True

    return announce


def counted(number: int, what: str, plural: str = "s") -> str:
    """
    How many of something there are, in words.

    >>> counted(1, "job worker"), counted(2, "web process", "es")
    ('1 job worker', '2 web processes')
    """
    return f"{number} {what}{'' if number == 1 else plural}"


# --- in the web processes ------------------------------------------------------


def _begin(server: PipelinesServer) -> PipelinesServer:
    server.chariots.open()
    server.ticker.start()
    return server


def web_slot(
    begin: Callable[[], WSGIApplication],
    *,
    host: str,
    port: int,
    processes: int,
    threads: int,
    grace: float,
) -> Slot:
    """
    The web processes as one thing that a supervisor keeps alive.

    Its arguments are those of `run_web_processes`.
    """

    def run(say_ready: Callable[[], None]) -> int:
        def begin_and_say() -> WSGIApplication:
            application = begin()
            say_ready()
            return application

        run_web_processes(
            begin_and_say, host=host, port=port, processes=processes, threads=threads, grace=grace
        )
        return 0

    return Slot("web server", lambda: Forked(run))


def run_web_processes(
    begin: Callable[[], WSGIApplication],
    *,
    host: str,
    port: int,
    processes: int,
    threads: int,
    grace: float = GRACE,
) -> None:
    """
    Be the parent of web processes, until SIGTERM or SIGINT.

    Args:
        begin: called in each of them as it begins; gives the application.
        host: where to listen.
        port: where to listen.
        processes: how many there are; one that dies is replaced.
        threads: threads in each of them.
        grace: seconds that requests under way may still take.
    """
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.log import LogLevels

    if sys.platform != "win32":
        # the app is an object of this process, which only a fork hands on
        multiprocessing.set_start_method("fork", force=True)
        end_early_children()
        handle_beside_main()
    parent = os.getpid()

    def load(*_: object) -> WSGIApplication:
        die_with_parent(parent)
        if sys.platform != "win32":
            handle_beside_main()
        return begin()

    Granian(
        "chariots",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=processes,
        blocking_threads=threads,
        http=HTTPModes.http1,
        respawn_failed_workers=True,
        respawn_interval=0.0,
        # Whoever supervises this one is first to lose patience, and knows then.
        workers_kill_timeout=int(grace + LAST_GRACE) + 1,
        log_level=LogLevels.error,
    ).serve(target_loader=load, wrap_loader=False)
