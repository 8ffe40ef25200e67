"""
Serves one of the apps of `benchmarks.http.apps` as ``chariots serve`` does by default.

``python -m benchmarks.http.serve_app ours|raw PORT PROCESSES THREADS``
"""

from __future__ import annotations

import sys

from benchmarks.http import apps
from chariots_core.server.serving import run_web_processes, serve


def main() -> None:
    """
    Serve until told to stop.
    """
    which, port, processes, threads = sys.argv[1], *(int(text) for text in sys.argv[2:5])
    if which == "ours":
        serve(apps.make_ours(), port=port, processes=processes, threads=threads)
    else:
        app = apps.make_raw()
        run_web_processes(
            lambda: app, host="127.0.0.1", port=port, processes=processes, threads=threads
        )


if __name__ == "__main__":
    main()
