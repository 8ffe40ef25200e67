"""
Op stores to test: on SQLite and on PostgreSQL, and processes that share them.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import attrs
import pytest

from chariots_core.op_store.client import BaseOpStoreClient
from tests.unit.op_store.kit import App, open_local, open_store
from tests.unit.op_store.serving import served


@attrs.frozen
class Place:
    """
    Where a store is: what another process needs to open it.
    """

    url: str
    folder: str

    def open(self) -> BaseOpStoreClient:
        return open_store(self.url, self.folder)


@pytest.fixture(
    name="place", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres), "http"]
)
def _place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """
    On SQLite, on PostgreSQL, and behind a server that has it on SQLite.
    """
    url, folder = f"sqlite:///{tmp_path}/op_store.db", str(tmp_path / "bytes")
    if request.param == "http":
        with served(open_local(url, folder)) as server_url:
            yield Place(server_url, folder)
        return
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    yield Place(url, folder)


@pytest.fixture(name="store")
def _store(place: Place) -> Iterator[BaseOpStoreClient]:
    store = place.open()
    yield store
    store.close()


@pytest.fixture(name="sqlite_place")
def _sqlite_place(tmp_path: Path) -> Place:
    return Place(f"sqlite:///{tmp_path}/op_store.db", str(tmp_path / "bytes"))


@pytest.fixture(name="make_app")
def _make_app(place: Place) -> Iterator[Callable[..., App]]:
    """
    Makes apps on one store, as if each were another process.
    """
    apps: list[App] = []

    def make(*args: object, **kwargs: object) -> App:
        apps.append(App(place.open(), *args, **kwargs))  # type: ignore[arg-type]
        return apps[-1]

    yield make
    for app in apps:
        app.store.close()


@pytest.fixture(name="app")
def _app(make_app: Callable[..., App]) -> App:
    return make_app()


@pytest.fixture(name="processes")
def _processes() -> Iterator[ProcessPoolExecutor]:
    """
    Two other processes.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        yield executor
