"""
Serves one of the apps of `benchmarks.http.apps`.

``python -m benchmarks.http.serve_app ours|raw SERVER PORT PROCESSES THREADS``;
with ``default`` as the server, as ``chariots serve`` does, else by a worker
class of gunicorn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication

from benchmarks.http import apps
from chariots_core.server.serving import run_web_processes, serve

MAKE: dict[str, Callable[[], Any]] = {"ours": apps.make_ours, "raw": apps.make_raw}


class Gunicorn(BaseApplication):  # type: ignore[misc]
    """
    Gunicorn, with its settings as arguments.
    """

    def __init__(self, app: Any, **settings: Any) -> None:
        self._app = app
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._app


def main() -> None:
    """
    Serve until told to stop.
    """
    which, server, *numbers = sys.argv[1:]
    port, processes, threads = map(int, numbers)
    app = MAKE[which]()
    if server != "default":
        Gunicorn(
            app,
            bind=f"127.0.0.1:{port}",
            worker_class=server,
            workers=processes,
            threads=threads,
            keepalive=30,
            loglevel="warning",
        ).run()
    elif which == "ours":
        serve(app, port=port, processes=processes, threads=threads)
    else:
        run_web_processes(
            lambda: app, host="127.0.0.1", port=port, processes=processes, threads=threads
        )


if __name__ == "__main__":
    main()
