"""
The three sections of a configuration, and what is made of each.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from chariots_core.app.checks import checked_name
from chariots_core.app.stores import DEFAULT_URL
from chariots_core.config.keys import TABLE, Section, key
from chariots_core.config.names import (
    RUNNERS,
    check_runner,
    check_saver,
    class_named,
    make_saver,
    saver_problems,
)
from chariots_core.errors import ConfigurationError
from chariots_core.op_store.savers import BaseSaver
from chariots_core.op_store_http.address import is_server_address
from chariots_core.pipelines import BaseRunner

if TYPE_CHECKING:
    from chariots_core.client import PipelinesClient
    from chariots_core.op_store import BaseOpStoreClient
    from chariots_core.server.op_store import OpStoreServer
    from chariots_core.workers import BaseWorkerPool

_HOST: Final = "the name or IP address of a host, without http:// and without a port"
_PORT: Final = "a whole number from 1 to 65535"
_DATABASE: Final = "the address of a SQLite file or a PostgreSQL database"


def _check_host(host: str) -> str | None:
    return None if _is_host(host) else f"must be {_HOST}"


def _is_host(host: str) -> bool:
    if ":" not in host:
        return re.fullmatch(r"[A-Za-z0-9._-]+", host) is not None
    try:
        return bool(ipaddress.IPv6Address(host))
    except ValueError:
        return False


def _check_port(port: int) -> str | None:
    return None if 1 <= port <= 65535 else f"must be {_PORT}"


def _check_database(url: str) -> str | None:
    from chariots_core.sql.addresses import is_address

    return None if is_address(url) else f"must be {_DATABASE} that processes can share"


def _check_app_name(name: str) -> str | None:
    try:
        checked_name(name)
    except ConfigurationError as error:
        return f"cannot be used: {error.message}"
    return None


def _check_backend(name: str) -> str | None:
    return None if name.strip() else "must not be blank"


def http_address(host: str, port: int) -> str:
    """
    The address of a server.

    >>> http_address("::1", 5000)
    'http://[::1]:5000'
    """
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def op_store_client(url: str, saver: BaseSaver) -> BaseOpStoreClient:
    """
    A client of the op store at *url*, a server or a database.

    Args:
        url: its address.
        saver: where the bytes are, beside a database.
    """
    if is_server_address(url):
        from chariots_core.op_store_http import OpStoreClient

        return OpStoreClient(url)
    from chariots_core.op_store.sql_store import LocalOpStoreClient

    return LocalOpStoreClient(url, saver)


@attrs.frozen(kw_only=True)
class PipelinesConfig(Section):
    """
    The section ``pipelines``: the server of pipelines, and where clients find it.

    >>> PipelinesConfig(server_port=8080).get_client().backend_url
    'http://127.0.0.1:8080'

    Attributes:
        runner: what goes through the nodes of a pipeline: a name, as
            ``sequential-runner``, ``sequential_runner`` or ``SequentialRunner``;
            in code an instance, too.
        server_host: where clients find the server.
        server_port: its port.
        import_name: the app's name: its jobs and queues go by it; by default the
            name of the module that makes the server, see `PipelinesServer`.

    Raises:
        ConfigInvalid: a key has a value that cannot work; all of them are told.
    """

    section: ClassVar[str] = "pipelines"

    runner: BaseRunner | str = key(  # noqa: RUF009 - it makes a field
        str,
        default="sequential-runner",
        expects="the name of a runner",
        instance=BaseRunner,
        check=check_runner,
    )
    server_host: str = key(str, default="127.0.0.1", expects=_HOST, check=_check_host)
    server_port: int = key(int, default=5000, expects=_PORT, check=_check_port)
    import_name: str | None = key(str | None, expects="text", check=_check_app_name)

    def get_runner(self) -> BaseRunner:
        """
        The runner that the section names.
        """
        if isinstance(self.runner, BaseRunner):
            return self.runner
        cls = class_named(RUNNERS, self.runner)
        assert cls is not None, "its name was checked"
        return cls()

    def get_client(self) -> PipelinesClient:
        """
        A client of the server. Nothing is sent before its first call.
        """
        from chariots_core.client import PipelinesClient

        return PipelinesClient(http_address(self.server_host, self.server_port))


@attrs.frozen(kw_only=True)
class WorkersConfig(Section):
    """
    The section ``pipelines_workers``: which calls go to workers, and by what backend.

    Attributes:
        use_for_all: the app's switch: true sends all calls to workers, unless
            the pipeline or the request says no; false sends none; unset leaves
            it to the pipeline and the request.
        worker_type: the name of an installed backend. Whether there is one is
            looked at when the pool is made.
        worker_pool_kwargs: the backend's options; never shown.

    Raises:
        ConfigInvalid: a key has a value that cannot work; all of them are told.
    """

    section: ClassVar[str] = "pipelines_workers"

    use_for_all: bool | None = key(bool | None, expects="true or false")
    worker_type: str | None = key(
        str | None, expects="the name of an installed backend", check=_check_backend
    )
    worker_pool_kwargs: Mapping[str, Any] = key(
        TABLE, expects="a table of the backend's options", secret=True
    )

    @classmethod
    def clashes(cls, values: Mapping[str, Any]) -> Iterator[tuple[set[str], str]]:
        kwargs = values["worker_pool_kwargs"] or {}
        names = {"worker_type", "worker_pool_kwargs"}
        if kwargs and values["worker_type"] is None:
            yield names, "worker_pool_kwargs are of no backend: name it in worker_type"
        if "backend" in kwargs:
            yield names, "worker_pool_kwargs.backend is no option: name the backend in worker_type"

    @property
    def spec(self) -> Mapping[str, Any] | None:
        """
        What a server takes as ``worker_pool``; ``None`` where no backend is named.
        """
        if self.worker_type is None:
            return None
        return {"backend": self.worker_type, **self.worker_pool_kwargs}

    def get_worker_pool(self) -> BaseWorkerPool | None:
        """
        A pool of the backend that the section names, whatever the environment
        says; ``None`` where it names none.

        Raises:
            BackendError: the backend cannot be used.
            BackendMisconfigured: its options are wrong.
        """
        from chariots_core.config.errors import options_named
        from chariots_core.workers.plugins import PluginManager

        if self.spec is None:
            return None
        with options_named(self.section):
            return PluginManager().create_worker_pool(self.spec)


@attrs.frozen(kw_only=True)
class OpStoreConfig(Section):
    """
    The section ``op_store``: where versions are kept, and who reaches them how.

    Attributes:
        op_store_db_url: the address of a database; never shown.
        saver_type: where the bytes of ops are kept: a name, as ``file-saver``,
            ``file_saver`` or ``FileSaver``; in code an instance, too.
        saver_kwargs: the saver's arguments; never shown. ``file-saver`` takes
            ``root_path``, the folder ``.chariots/ops`` unless it is said.
        server_host: where clients find a server of the op store.
        server_port: its port. Where neither is said there is no server:
            clients open the database.

    Raises:
        ConfigInvalid: a key has a value that cannot work; all of them are told.
    """

    section: ClassVar[str] = "op_store"

    op_store_db_url: str = key(
        str, default=DEFAULT_URL, expects=_DATABASE, check=_check_database, secret=True
    )
    saver_type: BaseSaver | str = key(  # noqa: RUF009 - it makes a field
        str,
        default="file-saver",
        expects="the name of a saver",
        instance=BaseSaver,
        check=check_saver,
    )
    saver_kwargs: Mapping[str, Any] = key(
        TABLE, expects="a table of the saver's arguments", secret=True
    )
    server_host: str | None = key(str | None, expects=_HOST, check=_check_host)
    server_port: int | None = key(int | None, expects=_PORT, check=_check_port)

    @classmethod
    def clashes(cls, values: Mapping[str, Any]) -> Iterator[tuple[set[str], str]]:
        saver, kwargs = values["saver_type"], values["saver_kwargs"] or {}
        names = {"saver_type", "saver_kwargs"}
        if isinstance(saver, str):
            for problem in saver_problems(saver, kwargs):
                yield names, f"saver_kwargs{problem}"
        elif kwargs:
            yield names, "saver_kwargs are for a saver that is named: leave them out"

    @property
    def server_url(self) -> str | None:
        """
        The address of the op store's server; ``None`` where the section names none.
        """
        if self.server_host is None and self.server_port is None:
            return None
        return http_address(self.server_host or "127.0.0.1", self.server_port or 5001)

    def get_saver(self) -> BaseSaver:
        """
        The place for the bytes of ops.
        """
        if isinstance(self.saver_type, BaseSaver):
            return self.saver_type
        return make_saver(self.saver_type, self.saver_kwargs)

    def get_server(self, **server: Any) -> OpStoreServer:
        """
        A server of the op store. Making it opens nothing.

        Args:
            **server: further arguments of `OpStoreServer`.
        """
        from chariots_core.server.op_store import OpStoreServer

        return OpStoreServer(url=self.op_store_db_url, saver=self.get_saver(), **server)

    def get_client(self) -> BaseOpStoreClient:
        """
        A client of the op store's server; where the section names none, of the
        database itself. Making it opens nothing.
        """
        return op_store_client(self.server_url or self.op_store_db_url, self.get_saver())
