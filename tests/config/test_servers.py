"""
What a configuration makes: servers, clients and pools, and who wins over it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chariots_core.client import PipelinesClient
from chariots_core.config import ChariotsConfig, OpStoreConfig, PipelinesConfig, WorkersConfig
from chariots_core.errors import (
    BackendMisconfigured,
    BackendNotConfigured,
    BackendNotInstalled,
    StoreUnavailable,
)
from chariots_core.local import LocalWorkerPool
from chariots_core.op_store import BaseOpStoreClient, LocalOpStoreClient
from chariots_core.op_store.savers import FileSaver
from chariots_core.op_store_http import OpStoreClient
from chariots_core.pipelines import Node, Pipeline, SequentialRunner
from chariots_core.server import PipelinesServer
from chariots_core.testing import TestOpStoreClient, TestPipelinesClient
from tests.apps import IN, OUT, IsOdd, track


def is_odd() -> Pipeline:
    """
    One small pipeline.
    """
    return Pipeline([Node(IsOdd(), [IN], OUT)], "is_odd")


def serve(config: ChariotsConfig, **code: Any) -> PipelinesServer:
    """
    A server of that pipeline, closed at the end of the test.
    """
    return track(config.get_pipelines_server([is_odd()], **code))


def local(**options: Any) -> WorkersConfig:
    """
    Workers on the built-in backend.
    """
    return WorkersConfig(worker_type="local", worker_pool_kwargs=options)


def url_of(store: BaseOpStoreClient) -> str:
    """
    The database that an op store is in.
    """
    assert isinstance(store, LocalOpStoreClient)
    return store._database.name


def test_a_server_is_as_the_configuration_says() -> None:
    """
    Name, runner, switch, pool and op store of a server are the configured ones, and it serves.
    """
    runner = SequentialRunner()
    config = ChariotsConfig(
        pipelines=PipelinesConfig(import_name="my_app", runner=runner),
        pipelines_workers=WorkersConfig(
            use_for_all=False, worker_type="local", worker_pool_kwargs={"url": "sqlite:///j.db"}
        ),
        op_store=OpStoreConfig(
            op_store_db_url="sqlite:///o.db", saver_kwargs={"root_path": "bytes"}
        ),
    )

    server = serve(config)

    app = server.chariots
    assert ("my_app", False) == (app.name, app.use_workers)
    assert runner is app._execution.runner
    assert isinstance(app.pool, LocalWorkerPool)
    assert "sqlite:///j.db" == app.pool.options.url
    assert url_of(app.op_store).endswith("/o.db")
    assert TestPipelinesClient(server).call_pipeline("is_odd", 3).value is True
    assert Path("o.db").exists()


def test_code_wins_over_the_configuration(tmp_path: Path) -> None:
    """
    Each argument of the server is in place of what is configured.
    """
    config = ChariotsConfig(
        pipelines=PipelinesConfig(import_name="my_app"),
        pipelines_workers=WorkersConfig(use_for_all=True, worker_type="no_such_backend"),
    )
    store, runner = TestOpStoreClient(tmp_path), SequentialRunner()

    server = serve(
        config,
        op_store_client=store,
        runner=runner,
        worker_pool="local",
        use_workers=False,
        import_name="other",
        legacy_routes=False,
    )

    app = server.chariots
    assert ("other", False) == (app.name, app.use_workers)
    assert store is app.op_store
    assert runner is app._execution.runner
    assert isinstance(app.pool, LocalWorkerPool)
    assert 404 == server.test_client().get("/available_pipelines").status_code


def pool_url(server: PipelinesServer) -> str | None:
    """
    The job store that the server's pool was told.
    """
    pool = server.chariots.pool
    assert isinstance(pool, LocalWorkerPool)
    return pool.options.url


def test_the_environment_wins_over_the_file_and_code_over_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    CHARIOTS_WORKER_POOL is in place of the configured pool, and an argument in place of that.
    """
    config = ChariotsConfig(pipelines_workers=local(url="sqlite:///file.db"))
    by_code = {"backend": "local", "url": "sqlite:///code.db"}

    assert "sqlite:///file.db" == pool_url(serve(config))
    monkeypatch.setenv("CHARIOTS_WORKER_POOL", "  ")
    assert "sqlite:///file.db" == pool_url(serve(config))
    by_environment = {"backend": "local", "url": "sqlite:///environment.db"}
    monkeypatch.setenv("CHARIOTS_WORKER_POOL", json.dumps(by_environment))
    assert "sqlite:///environment.db" == pool_url(serve(config))
    assert "sqlite:///code.db" == pool_url(serve(config, worker_pool=by_code))


def test_without_a_backend_there_is_no_pool() -> None:
    """
    Nothing said is no pool; workers for all without one is an error at the start.
    """
    assert serve(ChariotsConfig()).chariots.pool is None
    assert WorkersConfig().get_worker_pool() is None
    with pytest.raises(BackendNotConfigured):
        serve(ChariotsConfig(pipelines_workers=WorkersConfig(use_for_all=True)))


def test_the_backend_is_looked_for_when_the_pool_is_made() -> None:
    """
    A name of a backend that is not installed is no error of the file, but of the server.
    """
    part = WorkersConfig(worker_type="locl")

    with pytest.raises(BackendNotInstalled, match="did you mean 'local'"):
        part.get_worker_pool()
    with pytest.raises(BackendNotInstalled, match="did you mean 'local'"):
        serve(ChariotsConfig(pipelines_workers=part))


def test_wrong_options_of_a_backend_are_told_with_their_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    What the backend says of its options begins with the section's key, and shows no
    value; of what the environment says, it does not.
    """
    part = local(url="hunter2", pol_interval=1)
    config = ChariotsConfig(pipelines_workers=part)

    for make in (part.get_worker_pool, lambda: serve(config)):
        with pytest.raises(BackendMisconfigured) as caught:
            make()
        assert str(caught.value).startswith("pipelines_workers.worker_pool_kwargs: backend 'local'")
        assert 2 == len(caught.value.problems)
        for problem in caught.value.problems:
            assert problem.startswith("pipelines_workers.worker_pool_kwargs: option ")
        assert "hunter2" not in str(caught.value)
    monkeypatch.setenv("CHARIOTS_WORKER_POOL", '{"backend": "local", "poll": 1}')
    with pytest.raises(BackendMisconfigured) as caught:
        serve(config)
    assert "worker_pool_kwargs" not in str(caught.value)


def test_a_name_that_no_backend_can_have_is_told_with_its_section() -> None:
    """
    What is wrong with the name is not said of the options.
    """
    with pytest.raises(BackendMisconfigured, match=r"^pipelines_workers: worker_pool must be"):
        WorkersConfig(worker_type="my backend").get_worker_pool()


def test_a_part_makes_its_pool_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    A pool that code takes from a part is that part's own.
    """
    monkeypatch.setenv("CHARIOTS_WORKER_POOL", "no_such_backend")

    pool = local(poll_interval=2).get_worker_pool()

    assert isinstance(pool, LocalWorkerPool)
    assert 2.0 == pool.options.poll_interval


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("models", "http://models:81"),
        ("::1", "http://[::1]:81"),
        ("10.0.0.7", "http://10.0.0.7:81"),
    ],
)
def test_clients_go_where_the_servers_are(host: str, url: str) -> None:
    """
    The clients of both servers have the addresses that the sections say.
    """
    config = ChariotsConfig(
        pipelines=PipelinesConfig(server_host=host, server_port=81),
        op_store=OpStoreConfig(server_host=host, server_port=81),
    )

    with config.get_pipelines_client() as client:
        assert isinstance(client, PipelinesClient)
        assert url == client.backend_url
    store = config.get_op_store_client()
    assert isinstance(store, OpStoreClient)
    assert url == store.url


def test_half_an_address_is_completed() -> None:
    """
    A host or a port alone is enough to name the op store's server.
    """
    urls = [OpStoreConfig(server_host="ops").server_url, OpStoreConfig(server_port=9).server_url]

    assert ["http://ops:5001", "http://127.0.0.1:9"] == urls


def test_without_a_server_the_op_store_is_the_database() -> None:
    """
    A client of an op store without a server opens the database, by default in .chariots.
    """
    default = ChariotsConfig().get_op_store_client()
    named = OpStoreConfig(op_store_db_url="sqlite:///o.db").get_client()

    assert url_of(default).endswith("/.chariots/op_store.db")
    assert url_of(named).endswith("/o.db")
    assert isinstance(default, LocalOpStoreClient)
    assert isinstance(default.saver, FileSaver)
    assert Path(".chariots/ops").absolute() == default.saver.root_path
    assert not Path(".chariots").exists()


def test_both_servers_meet() -> None:
    """
    The op store's server serves what a client of the same database has kept.
    """
    config = ChariotsConfig(
        op_store=OpStoreConfig(
            op_store_db_url="sqlite:///o.db", saver_kwargs={"root_path": "bytes"}, server_port=9
        )
    )
    server = config.get_op_store_server(max_blob_bytes=10)
    part = config.op_store.get_server()
    store = LocalOpStoreClient("sqlite:///o.db", FileSaver("bytes"))
    store.register_name("is_odd")
    store.close()

    for each in (server, part):
        answer = each.test_client().get("/api/v1/op-store/known-pipelines")
        assert {"result": ["is_odd"]} == answer.get_json()
        each.close()


@pytest.mark.parametrize(
    ("address", "kind"),
    [("http://me:hunter2@elsewhere:7", OpStoreClient), ("sqlite:///e.db", LocalOpStoreClient)],
)
def test_the_environments_op_store_wins_over_the_configured_one(
    monkeypatch: pytest.MonkeyPatch, address: str, kind: type
) -> None:
    """
    CHARIOTS_OP_STORE is in place of the configured server or database.
    """
    config = ChariotsConfig(op_store=OpStoreConfig(server_host="ops"))
    monkeypatch.setenv("CHARIOTS_OP_STORE", address)

    store = config.get_op_store_client()

    assert isinstance(store, kind)
    if isinstance(store, OpStoreClient):
        assert "http://elsewhere:7" == store.url
    else:
        assert url_of(store).endswith("/e.db")
    assert type(store) is type(serve(config).chariots.op_store)


def test_the_environments_places_are_the_op_store_servers_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    Its database and its folder are in place of the configured ones; the address of
    a server is for clients only.
    """
    config = ChariotsConfig(op_store=OpStoreConfig(op_store_db_url="sqlite:///o.db"))
    monkeypatch.setenv("CHARIOTS_OP_STORE_FILES", "elsewhere")
    found = []
    for address in ("sqlite:///e.db", "http://elsewhere:7"):
        monkeypatch.setenv("CHARIOTS_OP_STORE", address)
        store = config.get_op_store_server().store
        assert isinstance(store, LocalOpStoreClient)
        found.append((Path(url_of(store)).name, store.saver))

    assert ["e.db", "o.db"] == [name for name, _ in found]
    for _, saver in found:
        assert isinstance(saver, FileSaver)
        assert Path("elsewhere").absolute() == saver.root_path


def test_making_opens_nothing() -> None:
    """
    Servers and clients of places that are not there are made; their use is the error.
    """
    config = ChariotsConfig(op_store=OpStoreConfig(server_host="127.0.0.1", server_port=1))

    server = serve(config)

    with pytest.raises(StoreUnavailable):
        server.chariots.open()
