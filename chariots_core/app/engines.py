"""
The app of workers that an engine's own command starts: the environment names it.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Final, TypeVar

from chariots_core.app.application import App
from chariots_core.app.loading import load_app
from chariots_core.errors import AppLoadError, BackendMisconfigured
from chariots_core.workers import BaseWorkerPool

P = TypeVar("P", bound=BaseWorkerPool)

#: The environment variable that names the app.
APP_VARIABLE: Final = "CHARIOTS_APP"


@cache
def app_of_environment(pool_type: type[P]) -> tuple[App, P, str]:
    """
    The app that ``CHARIOTS_APP`` names, its pool, and what the variable says; loaded once.

    Args:
        pool_type: the class of pools whose jobs the engine's workers can run.

    Raises:
        AppLoadError: it names none.
        BackendMisconfigured: the app has no pool, or one of another backend.
    """
    spec = os.environ.get(APP_VARIABLE)
    if not spec:
        raise AppLoadError(
            f"a worker of the backend {pool_type.name!r} runs jobs of one app: set "
            f"{APP_VARIABLE} to it, as 'package.module:attribute'"
        )
    app = load_app(spec)
    pool = app.pool
    if not isinstance(pool, pool_type):
        used = f"the backend {pool.name!r}" if pool is not None else "no worker backend"
        raise BackendMisconfigured(
            f"app {spec!r} uses {used}: this worker runs jobs of apps with "
            f"worker_pool={pool_type.name!r}",
            backend=pool_type.name,
        )
    return app, pool, spec
