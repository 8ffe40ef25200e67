"""
The kit's app: one pipeline for each op, built as a configuration says.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chariots_core.app import App, AppSettings
from chariots_core.jobs import JobRecord, JobStore
from chariots_core.op_store import LocalOpStoreClient
from chariots_core.op_store.savers import FileSaver
from chariots_core.pipelines import BaseOp, Node, Pipeline, ReservedNodes
from chariots_core.testing.conformance import ops
from chariots_core.testing.conformance.config import KitConfig, Trap
from chariots_core.testing.conformance.windows import TrappedStore, spring
from chariots_core.workers import BaseWorkerPool

if TYPE_CHECKING:
    from chariots_core.server import PipelinesServer

#: What the pipelines are made of; each is called like its op.
OPS: Final[tuple[type[BaseOp], ...]] = (
    ops.Big,
    ops.Chatty,
    ops.Crash,
    ops.Echo,
    ops.Fail,
    ops.FlakyKill,
    ops.GilHog,
    ops.KillParent,
    ops.Leave,
    ops.Mutate,
    ops.Newcomer,
    ops.NotJSON,
    ops.Probe,
    ops.Say,
    ops.Sleep,
    ops.SpawnChild,
    ops.Steps,
    ops.Suicide,
    ops.Train,
    ops.Unspeakable,
    ops.Write,
)


class KitApp(App):
    """
    The kit's app. It is an `App` like any other, with a trap on its way if the
    configuration says so.
    """

    def __init__(self, config: KitConfig) -> None:
        for name in config.imports:
            with suppress(ImportError):
                import_module(name)
        super().__init__(
            config.name,
            pipelines(config),
            op_store=op_store(config),
            worker_pool=config.worker_pool,
            settings=settings(config),
        )
        self.config = config
        if config.trap is not None:
            self._guard_store(config.trap)

    @property
    def workers(self) -> BaseWorkerPool:
        """
        The app's pool, which it has.
        """
        assert self.pool is not None
        return self.pool

    def publish(self, record: JobRecord) -> None:
        """
        Publish, unless the trap before it kills this process.
        """
        if self.config.trap is not None:
            spring(self.config.trap, "before_publish")
        super().publish(record)

    def _guard_store(self, trap: Trap) -> None:
        pool, make = self.workers, self.workers.create_job_store

        def create_job_store(app: str) -> JobStore:
            return TrappedStore(make(app), trap)

        pool.create_job_store = create_job_store  # type: ignore[method-assign]


def pipelines(config: KitConfig) -> list[Pipeline]:
    """
    The pipelines that the configured process knows.
    """
    made = [_pipeline(op()) for op in OPS]
    return [pipeline for pipeline in made if pipeline.name not in config.without]


def op_store(config: KitConfig) -> LocalOpStoreClient:
    """
    The op store of the configured app.
    """
    folder = Path(config.op_store)
    return LocalOpStoreClient(f"sqlite:///{folder / 'ops.db'}", FileSaver(folder / "blobs"))


def settings(config: KitConfig) -> AppSettings:
    """
    What the configured app's operator set.
    """
    return AppSettings(tick_interval=config.lease / 3, **config.limits)


def build_app(config: KitConfig) -> KitApp:
    """
    The app, for workers and for the test's own process.
    """
    return KitApp(config)


def build_server(config: KitConfig) -> PipelinesServer:
    """
    The same app, served over HTTP.
    """
    from chariots_core.server import PipelinesServer

    return PipelinesServer(
        pipelines(config),
        op_store_client=op_store(config),
        worker_pool=config.worker_pool,
        import_name=config.name,
        settings=settings(config),
    )


def _pipeline(op: BaseOp) -> Pipeline:
    node = Node(
        op,
        input_nodes=[ReservedNodes.pipeline_input],
        output_nodes=ReservedNodes.pipeline_output,
    )
    return Pipeline(pipeline_nodes=[node], name=op.name)
