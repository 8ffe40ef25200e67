"""
The store itself: opening, closing, what cannot be opened.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from chariots_core.errors import (
    ConfigurationError,
    StoreUnavailable,
)
from chariots_core.op_store.savers import FileSaver
from chariots_core.op_store.sql_store import LocalOpStoreClient
from chariots_core.op_store.values import Link
from chariots_core.pipelines import Node, Pipeline
from chariots_core.pipelines.names import LONGEST_NAME
from tests.unit.op_store.contract.manifests import job, texts
from tests.unit.op_store.kit import OUTPUT, App, Centre, Numbers, open_local, open_store


def test_making_a_store_touches_nothing(tmp_path: Path) -> None:
    """
    A handle opens nothing before it is used, and makes its folder then.
    """
    store = LocalOpStoreClient(f"sqlite:///{tmp_path}/a/b/store.db", FileSaver(tmp_path / "c"))
    before = list(tmp_path.iterdir())
    store.ping()
    store.close()
    store.close()

    assert ([], True) == (before, (tmp_path / "a/b/store.db").exists())


def test_used_again_after_closing(store: LocalOpStoreClient) -> None:
    """
    A closed handle opens again when it is used.
    """
    store.publish(job(store, "v1"))
    store.close()

    assert ["v1"] == texts(store)


def test_store_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """
    A file that is no database is an error that names it and says what to do.
    """
    (tmp_path / "store.db").write_bytes(b"no database at all, but long enough to be read" * 50)
    store = open_store(f"sqlite:///{tmp_path}/store.db", tmp_path)

    with pytest.raises(StoreUnavailable, match=r"op store '.*store.db' cannot be used"):
        store.ping()


def test_wrong_address_is_a_configuration_error(tmp_path: Path) -> None:
    """
    An address of another kind is refused when the store is made.
    """
    with pytest.raises(ConfigurationError, match="op store"):
        open_store("mongodb://host/db", tmp_path)


def test_a_power_cut_takes_no_model_away(tmp_path: Path) -> None:
    """
    The database is forced to the disk with each commit, unless its address says otherwise.
    """
    url = f"sqlite:///{tmp_path}/store.db"
    settings = []
    for address in (url, f"{url}?busy_timeout=5", f"{url}?synchronous=off"):
        store = open_local(address, tmp_path)
        with store._database.reading() as connection:
            settings.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())
        store.close()

    assert [2, 2, 0] == settings


def test_links_may_hold_any_name(store: LocalOpStoreClient) -> None:
    """
    Names of ops are data: quotes, wildcards and other scripts do no harm.
    """
    odd = [
        Link(upstream=name, upstream_version="1.2.3", downstream="b", downstream_version="4.5.6")
        for name in ("o'clock", "100%", "_", 'say "hi"', "données", "学")
    ]
    store.validate(odd)

    assert frozenset(odd) == store.valid([*odd, attrs.evolve(odd[0], upstream="x")])


def test_longest_names_are_kept(store: LocalOpStoreClient) -> None:
    """
    What a pipeline and an op can be called, every database has room for.
    """
    longest = "\N{GREEK SMALL LETTER OMEGA}" * LONGEST_NAME
    op = type("Named", (Centre,), {"name": longest})(fits=True)
    served = Pipeline(
        [Node(Numbers(), output_nodes="x"), Node(op, ["x"], OUTPUT)],
        name="\N{SLIGHTLY SMILING FACE}" * LONGEST_NAME,
    )
    app = App(store, [served])
    app.train(served.name, job_id="j" * 64)
    app.train(served.name)
    app.loaded.save(served.name)
    app.loaded.load(served.name)

    assert 3 == len(store.savings(longest))
