"""
A store that a release with older tables has written.

``store_of_schema_1.sql`` is the whole database of such a store: its pipelines were trained twice
by jobs, loaded and called, one was saved, and one has a training that nobody has saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.sql import Database
from tests.unit.op_store.kit import App, open_local

_DUMP = Path(__file__).with_name("store_of_schema_1.sql")

#: All bytes of the store.
_STATES = (b"0", b"2", b"0.0", b"9.0", b"18.0", b"27.0", b"36.0", b"99.0")


@pytest.fixture(
    name="store", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def _store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseOpStoreClient]:
    """
    The store, opened by this release.
    """
    url = f"sqlite:///{tmp_path}/op_store.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    old = Database(url)
    with old.writing() as connection:
        for statement in _DUMP.read_text().splitlines():
            connection.execute(sqlalchemy.text(statement.replace(":", r"\:")))
    old.close()
    store = open_local(url, tmp_path / "bytes")
    for state in _STATES:
        store.put_blob(state)
    yield store
    store.close()


def test_nothing_is_lost(store: BaseOpStoreClient) -> None:
    """
    Versions, sets, links and the unsaved training of an older store are there after its upgrade.
    """
    savings = {
        op: [known.digest is not None for known in store.savings(op)]
        for op in ("numbers", "centre", "scale", "rounded", "counter")
    }
    sets = {
        name: [(each.generation, each.loads) for each in store.activations(name)]
        for name in ("train_centre", "train_scale", "predict", "count")
    }
    candidate = store.candidate("train_centre")

    assert {
        "numbers": [False],
        "centre": [True] * 3,
        "scale": [True] * 3,
        "rounded": [False],
        "counter": [True] * 2,
    } == savings
    assert {
        "train_centre": [(1, 1)],
        "train_scale": [(3, 1), (2, 1), (1, 1)],
        "predict": [(3, 1), (2, 1), (1, 1)],
        "count": [(1, 1)],
    } == sets
    assert 3 == len(store.links_between("centre", "scale"))
    assert candidate is not None
    assert [None] == [saved.origin for saved in candidate.trained.values()]


def test_old_models_serve(store: BaseOpStoreClient) -> None:
    """
    The models of an older store serve at once, after a load, and until others are trained.
    """
    app = App(store, freshness=0.0)
    served = app.call("predict", [2.25])
    app.loaded.load("predict")
    loaded = app.call("predict", [2.25])
    app.loaded.save("train_centre")
    app.loaded.load("train_scale")
    app.train("train_scale", job_id="scale-3")
    app.loaded.load("predict")
    app.loaded.load("count")

    # 2.25 + centre + scale; both are trained further on their newest states
    assert ([119.25], [119.25]) == (served, loaded)
    assert [2.25 + 27.0 + (99.0 + 9.0 + 3 * 27.0)] == app.call("predict", [2.25])
    assert 3 == app.call("count")


def test_an_older_store_is_upgraded_once(store: BaseOpStoreClient, tmp_path: Path) -> None:
    """
    A second process opens the store as the first one has left it.
    """
    App(store).loaded.open()
    second = App(store)

    assert [119.25] == second.call("predict", [2.25])
