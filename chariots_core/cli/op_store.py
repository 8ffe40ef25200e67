"""
``chariots op-store``: an op store over HTTP, for workers on other machines.
"""

from __future__ import annotations

import click


@click.command("op-store")
@click.argument("server", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    "-p",
    type=click.IntRange(0, 65535),
    default=5001,
    show_default=True,
    help="0 takes a free one and prints it.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Web processes.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads in each of them.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Seconds that requests may still take after SIGTERM.",
)
@click.pass_context
def op_store(
    ctx: click.Context,
    /,
    *,
    server: str | None,
    host: str,
    port: int,
    processes: int,
    threads: int | None,
    grace: float,
) -> None:
    """
    Serve an op store over HTTP: the OpStoreServer that SERVER names, written as
    package.module:attribute, else the store that CHARIOTS_OP_STORE and
    CHARIOTS_OP_STORE_FILES name.

    It asks nobody who they are: let only the app's own processes reach it.
    """
    from chariots_core.server.op_store.serving import load_op_store_server, serve_op_store
    from chariots_core.server.serving import THREADS

    code = serve_op_store(
        load_op_store_server(server),
        host=host,
        port=port,
        processes=processes,
        threads=threads or THREADS,
        grace=grace,
    )
    ctx.exit(code)
