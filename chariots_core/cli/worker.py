"""
``chariots worker``: run jobs of an app until told to stop.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from chariots_core.cli.output import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chariots_core.workers.handle import WorkerProcess
    from chariots_core.workers.pool import BaseWorkerPool
    from chariots_core.workers.settings import WorkerSettings


def read_queues(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> Any:
    """
    The values of ``--queue``: each a name.
    """
    if not all(name.strip() for name in names):
        raise click.BadParameter(
            "a queue has a name: leave the option out for 'default'", ctx, param
        )
    return names


@click.command()
@click.argument("app")
@click.option(
    "--queue",
    "-q",
    "queues",
    multiple=True,
    callback=read_queues,
    help="Take jobs from this queue; repeatable.",
)
@click.option(
    "--isolation",
    type=click.Choice(["warm", "fresh", "thread"]),
    default="warm",
    show_default=True,
    help="Run jobs in a child that lives for many, in a child each, or in a thread.",
)
@click.option(
    "--start-method",
    type=click.Choice(["auto", "fork", "spawn"]),
    default="auto",
    show_default=True,
    help="How that child begins; spawn for CUDA and OpenMP.",
)
@click.option(
    "--max-jobs",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Jobs after which a warm child is replaced.",
)
@click.option(
    "--max-memory",
    type=click.FloatRange(min=0, min_open=True),
    help="MiB of memory over which a warm child is replaced after its job.",
)
@click.option(
    "--processes",
    "-n",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="How many workers; one that dies is replaced.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    help="Seconds that a job may still take after SIGTERM; no bound by default.",
)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
@click.option("--settings", "settings_json", hidden=True)
@click.option("--ready-fd", type=int, hidden=True)
@click.option("--lifeline-fd", type=int, hidden=True)
@click.option("--parent", type=int, hidden=True)
@click.pass_context
def worker(
    ctx: click.Context,
    /,
    *,
    app: str,
    processes: int,
    log_level: str,
    settings_json: str | None,
    ready_fd: int | None,
    lifeline_fd: int | None,
    parent: int | None,
    **options: Any,
) -> None:
    """
    Run jobs of APP, written as package.module:attribute.

    On SIGTERM or Ctrl-C it finishes its job and ends; on a second one it ends
    now, with exit code 3 if that left a job unfinished.
    """
    from chariots_core.workers.isolation.unix import die_with_parent
    from chariots_core.workers.spawn import say_ready

    if parent is not None:
        die_with_parent(parent)
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s [%(process)d] %(message)s"
    )
    pool = _pool_of(app)
    settings = _settings(app, settings_json, options)
    pool.capabilities.require_isolation(settings.runner.isolation, backend=pool.name)
    on_ready = None if ready_fd is None else say_ready(ready_fd)
    ctx.exit(_run(pool, settings, processes, lifeline_fd, on_ready))


def _pool_of(spec: str) -> BaseWorkerPool:
    from chariots_core.app import load_app
    from chariots_core.errors import BackendNotConfigured, StoreUnavailable

    app = load_app(spec)
    if app.pool is None:
        raise BackendNotConfigured(
            f"app {spec!r} has no worker backend: give it a worker_pool, or set "
            f"CHARIOTS_WORKER_POOL, e.g. to 'local'"
        )
    try:
        app.loaded.check_classes()
    except StoreUnavailable as error:
        logging.getLogger(__name__).warning("the op store is not reachable yet: %s", error)
    return app.pool


def _settings(spec: str, text: str | None, options: Mapping[str, Any]) -> WorkerSettings:
    import attrs

    from chariots_core.workers.app_specs import full_spec
    from chariots_core.workers.contracts import RunnerSettings
    from chariots_core.workers.settings import WorkerSettings

    if text is not None:
        settings = WorkerSettings.from_json(text)
        app_spec = settings.runner.app_spec or full_spec(spec)
        return attrs.evolve(settings, runner=attrs.evolve(settings.runner, app_spec=app_spec))
    return WorkerSettings(
        queues=options["queues"] or ("default",),
        grace=options["grace"],
        runner=RunnerSettings(
            app_spec=full_spec(spec),
            isolation=options["isolation"],
            start_method=options["start_method"],
            max_jobs=options["max_jobs"],
            recycle_rss_mb=options["max_memory"],
        ),
    )


def _run(
    pool: BaseWorkerPool,
    settings: WorkerSettings,
    processes: int,
    lifeline: int | None,
    on_ready: Callable[[], None] | None,
) -> int:
    from chariots_core.workers.process import run_worker_process

    if processes == 1:
        return run_worker_process(pool, settings, lifeline=lifeline, on_ready=on_ready, last=True)
    from chariots_core.workers.signals import StopSignals
    from chariots_core.workers.spawn import spawn_worker
    from chariots_core.workers.supervisor import Slot, Supervisor

    def start() -> WorkerProcess:
        return spawn_worker(pool, settings=settings, quiet=False)

    # Once for all of them; connections belong to one process.
    if (neighbours := getattr(pool.app, "neighbours", None)) is not None:
        neighbours.compare()
        pool.close()
    with StopSignals(grace=settings.grace, lifeline=lifeline, last=True) as signals:
        slots = [Slot("worker", start) for _ in range(processes)]
        return Supervisor(slots, signals=signals).run(on_ready or (lambda: None))
