"""
Apps whose pipelines are loaded: two on one store stand for two processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.unit.op_store.conftest import Place
from tests.unit.op_store.kit import App, open_local
from tests.unit.op_store.serving import served

MakeApp = Callable[..., App]


@pytest.fixture(name="place", params=["sqlite", "http"])
def _place(request: pytest.FixtureRequest, sqlite_place: Place) -> Iterator[Place]:
    """
    SQLite alone, embedded and behind a server: what is tested here stands above the
    contract, which is tested on both databases.
    """
    if request.param == "sqlite":
        yield sqlite_place
        return
    with served(open_local(sqlite_place.url, sqlite_place.folder)) as url:
        yield Place(url, sqlite_place.folder)


@pytest.fixture(name="make")
def _make(make_app: MakeApp) -> MakeApp:
    """
    Makes apps that look at the store at every call.
    """
    return lambda *args, **kwargs: make_app(*args, freshness=0.0, **kwargs)


@pytest.fixture(name="app")
def _app(make: MakeApp) -> App:
    return make()
