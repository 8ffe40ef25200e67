"""
``chariots serve``: an app over HTTP, with workers beside it if wanted.
"""

from __future__ import annotations

import click

from chariots_core.cli.output import LEVELS


@click.command()
@click.argument("app")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    "-p",
    type=click.IntRange(0, 65535),
    default=5000,
    show_default=True,
    help="0 takes a free one and prints it.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    help="Web processes; one for each core by default.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads in each of them.")
@click.option(
    "--job-workers",
    "-w",
    type=click.IntRange(0, 256),
    default=0,
    show_default=True,
    help="Workers to run beside the server; they end with it.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds that requests and jobs may still take after SIGTERM.",
)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
@click.pass_context
def serve(
    ctx: click.Context,
    /,
    *,
    app: str,
    host: str,
    port: int,
    processes: int | None,
    threads: int | None,
    job_workers: int,
    grace: float,
    log_level: str,
) -> None:
    """
    Serve APP, written as package.module:attribute, over HTTP.

    On SIGTERM or Ctrl-C what is under way is finished first; a second one ends
    it, with exit code 3 if that left something unfinished.
    """
    from chariots_core.server.serving import THREADS
    from chariots_core.server.serving import serve as serve_app

    code = serve_app(
        app,
        host=host,
        port=port,
        processes=processes,
        threads=threads or THREADS,
        job_workers=job_workers,
        log_level=log_level,
        grace=grace,
    )
    ctx.exit(code)
