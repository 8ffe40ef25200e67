"""
Serving an op store by processes that are kept alive.
"""

from __future__ import annotations

import logging

from chariots_core.app import load_object
from chariots_core.app.stores import default_op_store
from chariots_core.errors import AppLoadError, ConfigurationError
from chariots_core.op_store_http import OpStoreClient
from chariots_core.server.op_store.server import OpStoreServer
from chariots_core.server.ports import reserved_port
from chariots_core.server.serving import GRACE, THREADS, announcement, counted, web_slot
from chariots_core.workers.signals import StopSignals
from chariots_core.workers.supervisor import Supervisor


def serve_op_store(
    server: OpStoreServer,
    *,
    host: str = "127.0.0.1",
    port: int = 5001,
    processes: int = 1,
    threads: int = THREADS,
    log_level: str = "info",
    grace: float = GRACE,
) -> int:
    """
    Serve an op store until SIGTERM or SIGINT, and leave nothing running.

    Args:
        server: what is served.
        host: where to listen. Whoever reaches it may change everything.
        port: where to listen; 0 takes a free one. Where it is, is printed once
            requests are taken.
        processes: web processes; one that dies is replaced.
        threads: threads in each of them.
        log_level: the least important messages that are shown.
        grace: seconds that requests under way may still take.

    Returns:
        The exit code: 0; 3 where something was left unfinished.

    Raises:
        ConfigurationError: the port cannot be used.
        StoreUnavailable: the store cannot be opened.
    """
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s [%(process)d] %(message)s"
    )
    with reserved_port(host, port) as (address, number), StopSignals(grace=grace) as signals:
        server.store.ping()
        # Connections belong to one process; each child makes its own.
        server.store.close()
        web = web_slot(
            lambda: server,
            host=address,
            port=number,
            processes=processes,
            threads=threads,
            grace=grace,
        )
        announce = announcement(
            server.import_name, host, number, counted(processes, "web process", "es")
        )
        return Supervisor([web], signals=signals).run(announce)


def load_op_store_server(spec: str | None) -> OpStoreServer:
    """
    The server that *spec* names, or one of the op store that the environment names.

    Raises:
        AppLoadError: it cannot be imported, or is none.
        ConfigurationError: the environment names another server's store.
    """
    if spec is None:
        store = default_op_store()
        if isinstance(store, OpStoreClient):
            raise ConfigurationError(
                f"CHARIOTS_OP_STORE is the address of a server, {store.url!r}: "
                "to serve an op store, give the address of its database"
            )
        return OpStoreServer(store)
    found = load_object(spec)
    if not isinstance(found, OpStoreServer):
        raise AppLoadError(
            f"{spec!r} is of type {type(found).__name__}, and no op store to serve: "
            "give an OpStoreServer"
        )
    return found
