"""
Apps whose pipelines are loaded: two on one store stand for two processes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.op_store.conftest import Place
from tests.unit.op_store.kit import App

MakeApp = Callable[..., App]


@pytest.fixture(name="place")
def _place(sqlite_place: Place) -> Place:
    """
    SQLite alone: what is tested here stands above the contract, which is tested on both.
    """
    return sqlite_place


@pytest.fixture(name="make")
def _make(make_app: MakeApp) -> MakeApp:
    """
    Makes apps that look at the store at every call.
    """
    return lambda *args, **kwargs: make_app(*args, freshness=0.0, **kwargs)


@pytest.fixture(name="app")
def _app(make: MakeApp) -> App:
    return make()
