"""
A whole configuration: a file or its parts, and the servers and clients it describes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from chariots_core.config.errors import options_named
from chariots_core.config.files import read_file
from chariots_core.config.keys import Section, invalid, problems_of, unknown_key
from chariots_core.config.sections import (
    OpStoreConfig,
    PipelinesConfig,
    WorkersConfig,
    op_store_client,
)
from chariots_core.op_store.savers import BaseSaver, FileSaver
from chariots_core.op_store_http.address import is_server_address

if TYPE_CHECKING:
    from chariots_core.client import PipelinesClient
    from chariots_core.op_store import BaseOpStoreClient
    from chariots_core.pipelines import BaseRunner, Pipeline, PipelineCallback
    from chariots_core.server import PipelinesServer
    from chariots_core.server.op_store import OpStoreServer
    from chariots_core.workers.plugins import WorkerPoolSpec

S = TypeVar("S", bound=Section)

_SECTIONS: Final[tuple[type[Section], ...]] = (PipelinesConfig, WorkersConfig, OpStoreConfig)


@attrs.frozen(kw_only=True, init=False)
class ChariotsConfig:
    """
    How an app is served, where its jobs run, and where its versions are kept.

    Code wins over the environment (``CHARIOTS_WORKER_POOL``,
    ``CHARIOTS_OP_STORE``, ``CHARIOTS_OP_STORE_FILES``), and the environment over
    the configuration, whether that is a file or made of parts.

    >>> config = ChariotsConfig(pipelines=PipelinesConfig(import_name="my_app"))
    >>> server = config.get_pipelines_server([])
    >>> server.import_name
    'my_app'

    Args:
        config_file: a YAML or TOML file.
        pipelines: the server of pipelines; in place of the file's section.
        pipelines_workers: the workers; in place of the file's section.
        op_store: the op store; in place of the file's section.

    Raises:
        ConfigInvalid: the file cannot be read, or some of its keys cannot work;
            all of them are told, each with its path.
        TypeError: a part is none.
    """

    pipelines: PipelinesConfig
    pipelines_workers: WorkersConfig
    op_store: OpStoreConfig

    def __init__(
        self,
        config_file: str | os.PathLike[str] | None = None,
        *,
        pipelines: PipelinesConfig | None = None,
        pipelines_workers: WorkersConfig | None = None,
        op_store: OpStoreConfig | None = None,
    ) -> None:
        tables: Mapping[str, Any] = {}
        if config_file is not None:
            tables = read_file(config_file)
            _check(tables, os.fspath(config_file))
        self.__attrs_init__(
            pipelines=_part(PipelinesConfig, pipelines, tables),
            pipelines_workers=_part(WorkersConfig, pipelines_workers, tables),
            op_store=_part(OpStoreConfig, op_store, tables),
        )

    def get_pipelines_server(
        self,
        app_pipelines: Iterable[Pipeline] = (),
        op_store_client: BaseOpStoreClient | None = None,
        *,
        runner: BaseRunner | None = None,
        default_pipeline_callbacks: Sequence[PipelineCallback] | None = None,
        worker_pool: WorkerPoolSpec | None = None,
        use_workers: bool | None = None,
        import_name: str | None = None,
        **server: Any,
    ) -> PipelinesServer:
        """
        A server of pipelines. Making it opens nothing.

        Args:
            app_pipelines: what it serves.
            op_store_client: in place of `get_op_store_client`.
            runner: in place of the configured one.
            default_pipeline_callbacks: called in each run of each pipeline.
            worker_pool: in place of what the environment or the configuration names.
            use_workers: in place of ``use_for_all``.
            import_name: in place of the configured one.
            **server: further arguments of `PipelinesServer`.

        Raises:
            BackendError: the pool cannot be made, or the switches ask for one
                and nobody names it.
            BackendMisconfigured: the backend's options are wrong.
        """
        from chariots_core.server import PipelinesServer

        workers = self.pipelines_workers
        configured = worker_pool is None and not os.environ.get("CHARIOTS_WORKER_POOL", "").strip()
        with options_named(workers.section) if configured and workers.spec else nullcontext():
            return PipelinesServer(
                app_pipelines,
                self.get_op_store_client() if op_store_client is None else op_store_client,
                self.pipelines.get_runner() if runner is None else runner,
                default_pipeline_callbacks,
                workers.spec if configured else worker_pool,
                workers.use_for_all if use_workers is None else use_workers,
                self.pipelines.import_name if import_name is None else import_name,
                **server,
            )

    def get_pipelines_client(self) -> PipelinesClient:
        """
        A client of the pipelines server. Nothing is sent before its first call.
        """
        return self.pipelines.get_client()

    def get_op_store_server(self, **server: Any) -> OpStoreServer:
        """
        A server of the op store. Making it opens nothing.

        Args:
            **server: further arguments of `OpStoreServer`.
        """
        from chariots_core.server.op_store import OpStoreServer

        # Where the environment names a server it speaks to clients, not to the server.
        named = _op_store_address()
        url = self.op_store.op_store_db_url if named is None or is_server_address(named) else named
        return OpStoreServer(url=url, saver=self._saver(), **server)

    def get_op_store_client(self) -> BaseOpStoreClient:
        """
        A client of the op store's server; where neither the environment nor the
        configuration names one, of the database itself. Making it opens nothing.
        """
        url = _op_store_address() or self.op_store.server_url or self.op_store.op_store_db_url
        return op_store_client(url, self._saver())

    def _saver(self) -> BaseSaver:
        folder = os.environ.get("CHARIOTS_OP_STORE_FILES")
        if folder:
            return FileSaver(folder)
        return self.op_store.get_saver()


def _op_store_address() -> str | None:
    return os.environ.get("CHARIOTS_OP_STORE") or None


def _check(tables: Mapping[Any, Any], name: str) -> None:
    known = {section.section: section for section in _SECTIONS}
    problems: list[str] = []
    for key, table in tables.items():
        if key not in known:
            problems.append(unknown_key(key, known))
        elif isinstance(table, Mapping):
            problems += problems_of(known[key], table)
        elif table is not None:
            problems.append(f"{key} must be a table, and is of type {type(table).__name__}")
    if problems:
        raise invalid(f"configuration file {name!r}", problems)


def _part(cls: type[S], part: S | None, tables: Mapping[str, Any]) -> S:
    if part is None:
        return cls(**(tables.get(cls.section) or {}))
    if not isinstance(part, cls):
        raise TypeError(f"{cls.section} must be a {cls.__name__}, not a {type(part).__name__}")
    return part
