"""
What the op store may cost a call.
"""

from __future__ import annotations

import timeit
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from chariots_core.op_store.sql_store import LocalOpStoreClient
from tests.unit.op_store.conftest import Place
from tests.unit.op_store.kit import App


@pytest.fixture(name="app")
def _app(sqlite_place: Place) -> Iterator[App]:
    app = App(sqlite_place.open())
    app.loaded.open()
    yield app
    app.store.close()


@pytest.mark.serial
def test_fresh_pipeline_costs_nothing(app: App) -> None:
    """
    To get a loaded pipeline takes well under two microseconds, looks at the store included.
    """
    get = app.loaded.get
    number = 20_000
    best = min(timeit.repeat(lambda: get("predict").check(), number=number, repeat=5)) / number

    assert best < 2e-6


def statements(app: App, do: str) -> int:
    """
    How many statements a load or save of a pipeline takes, but for those of its ops' own rows.
    """
    counted: list[str] = []

    def count(_c: object, _cursor: object, statement: str, *_: object) -> None:
        counted.append(statement)

    assert isinstance(app.store, LocalOpStoreClient)
    engine = app.store._database._open().engine
    sa.event.listen(engine, "before_cursor_execute", count)
    try:
        getattr(app.loaded, do)("predict")
    finally:
        sa.event.remove(engine, "before_cursor_execute", count)
    return len([statement for statement in counted if not statement.startswith("BEGIN")])


def test_look_is_one_statement(app: App) -> None:
    """
    Where nothing has changed, the store is asked one thing.
    """
    app.loaded.refresh(force=True)
    app.loaded._look_at = 0.0

    assert 1 == statements(app, "get")


def test_load_takes_few_statements(app: App) -> None:
    """
    A load asks for all ops and links at once.
    """
    assert statements(app, "load") <= 18
