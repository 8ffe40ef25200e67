"""
The server: a Flask application that serves pipelines.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from chariots_core.app import App, AppSettings
from chariots_core.app.naming import creator_of, default_names
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.pipelines import BaseRunner, Pipeline, PipelineCallback
from chariots_core.server.api import APIServer, current_request
from chariots_core.server.jobs_views import JobViews
from chariots_core.server.legacy import LegacyViews
from chariots_core.server.pipelines_views import PipelineViews
from chariots_core.server.probes import ProbeViews
from chariots_core.server.ticker import Ticker
from chariots_core.workers.plugins import WorkerPoolSpec

_log = logging.getLogger(__name__)


class PipelinesServer(APIServer):
    """
    Serves pipelines over HTTP: a WSGI application, and a `Flask` in all else.

    Making it opens nothing, and changes none of the pipelines. Its `chariots`
    is the `App` that does the work.

    >>> from chariots_core.pipelines import BaseOp, Node, Pipeline
    >>> class IsOdd(BaseOp):
    ...     def execute(self, number):
    ...         return bool(number % 2)
    >>> is_odd = Pipeline(
    ...     [Node(IsOdd(), ["__pipeline_input__"], "__pipeline_output__")], "is_odd"
    ... )
    >>> server = PipelinesServer([is_odd], import_name="my_app")
    >>> server.chariots.run("is_odd", 3).value
    True

    Args:
        app_pipelines: what it serves; each with a name of its own.
        op_store_client: where versions are kept; by default in ``.chariots``.
        runner: what goes through the nodes of a pipeline.
        default_pipeline_callbacks: called in each run of each pipeline, after
            the pipeline's own.
        worker_pool: a pool, a backend's name, or a mapping with the name under
            ``"backend"`` and the options beside it.
        use_workers: the app's switch: whether calls go to workers.
        import_name: the app's name: its jobs and queues go by it. By default the
            name of the module that creates the server, as another process imports
            it: ``shop`` in ``shop.py``, also while ``python shop.py`` runs it.
            Workers of the app import that module, and so get the same name.
        settings: what an operator may set.
        legacy_routes: whether the routes of 2019-2020 are there.
        **flask: further arguments of `Flask`.

    Raises:
        DuplicatePipelineError: two pipelines have one name.
        BackendNotConfigured: the switches ask for a worker, and there is no pool.
        BackendError: the pool cannot be made.
        ConfigurationError: the name, a pipeline or a callback is none; or there is
            no name, and no module creates the server.
        TypeError: *use_workers* is no switch.
    """

    chariots: App

    def __init__(  # noqa: PLR0917 - the order of arguments that users know
        self,
        app_pipelines: Iterable[Pipeline],
        op_store_client: BaseOpStoreClient | None = None,
        runner: BaseRunner | None = None,
        default_pipeline_callbacks: Sequence[PipelineCallback] | None = None,
        worker_pool: WorkerPoolSpec | None = None,
        use_workers: bool | None = None,
        import_name: str | None = None,
        *,
        settings: AppSettings | None = None,
        legacy_routes: bool = True,
        **flask: Any,
    ) -> None:
        creator = creator_of(self)
        name = module = import_name
        if name is None or module is None:
            # Flask looks for its folders beside the module of that name in this process.
            name, module = default_names(creator)
        self.chariots = App(
            name,
            app_pipelines,
            op_store=op_store_client,
            worker_pool=worker_pool,
            use_workers=use_workers,
            runner=runner,
            callbacks=() if default_pipeline_callbacks is None else default_pipeline_callbacks,
            settings=settings,
            creator=creator,
        )
        super().__init__(module, max_body_bytes=self.chariots.settings.max_body_bytes, **flask)
        self.chariots.presence.kind = "web"
        self.ticker = Ticker(self.chariots)
        self._add_api()
        self._add_probes()
        if legacy_routes:
            self._add_legacy()
        for blueprint in self.chariots.plugins.blueprints(self):
            self._add_plugin(blueprint)

    def close(self) -> None:
        """
        Stop what runs in the background and give back connections. Idempotent.
        """
        self.ticker.stop()
        self.chariots.close()

    def _add_plugin(self, blueprint: Any) -> None:
        try:
            self.register_blueprint(blueprint)
        except Exception:  # noqa: BLE001 - pages of a plugin may be anything
            _log.exception("blueprint %r of a plugin cannot be used, and is left out", blueprint)

    def preprocess_request(self) -> Any:
        # The first request of a process: now it is certain that no fork follows.
        if self.ticker.due:
            self.ticker.start_for(current_request(), testing=self.testing)
        return super().preprocess_request()

    # -- routes

    def _add_api(self) -> None:
        pipelines, jobs = PipelineViews(self.chariots), JobViews(self.chariots)
        self._route("GET", "/api/v1/pipelines", pipelines.list)
        self._route("GET", "/api/v1/pipelines/<name>", pipelines.describe)
        self._route("POST", "/api/v1/pipelines/<name>/runs", pipelines.run)
        self._route("POST", "/api/v1/pipelines/<name>/load", pipelines.load)
        self._route("POST", "/api/v1/pipelines/<name>/save", pipelines.save)
        self._route("GET", "/api/v1/jobs", jobs.list)
        self._route("GET", "/api/v1/jobs/<job_id>", jobs.show)

    def _add_probes(self) -> None:
        probes = ProbeViews(self.chariots)
        self._route("GET", "/livez", probes.live)
        self._route("GET", "/readyz", probes.ready)

    def _add_legacy(self) -> None:
        legacy = LegacyViews(self.chariots)
        self._route("POST", "/pipelines/<name>/main", legacy.main)
        self._route("POST", "/pipelines/<name>/load", legacy.load)
        self._route("POST", "/pipelines/<name>/versions", legacy.versions)
        self._route("POST", "/pipelines/<name>/save", legacy.save)
        self._route("GET", "/pipelines/<name>/health_check", legacy.health)
        self._route("GET", "/health_check", legacy.all_health)
        self._route("GET", "/available_pipelines", legacy.available)
        self._route("POST", "/jobs/fetch/", legacy.fetch)
