"""
Who trains an op, and who serves: what the store keeps for a while only.
"""

from __future__ import annotations

import pytest

from chariots_core.errors import OpVersionNotFound
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.values import Manifest, ServingReport
from tests.support import wait_until
from tests.unit.op_store.kit import saved


def take(store: BaseOpStoreClient, holder: str, *ops: str, seconds: float = 60.0) -> dict[str, str]:
    return dict(store.take_lease(ops, holder=holder, seconds=seconds))


def test_one_holder_at_a_time(store: BaseOpStoreClient) -> None:
    """
    The lease of an op is refused to others, who are told the holder, until it is ended.
    """
    first, refused = take(store, "a", "pca"), take(store, "b", "pca")
    store.end_lease("a")

    assert ({}, {"pca": "a"}, {}) == (first, refused, take(store, "b", "pca"))


def test_all_ops_or_none(store: BaseOpStoreClient) -> None:
    """
    A lease of several ops is refused if one of them is held, and then takes none.
    """
    take(store, "a", "pca")
    refused = take(store, "b", "forest", "pca")

    assert ({"pca": "a"}, {}) == (refused, take(store, "c", "forest"))


def test_holder_renews(store: BaseOpStoreClient) -> None:
    """
    The same holder is given its lease again.
    """
    take(store, "a", "pca")

    assert {} == take(store, "a", "pca")


def test_lease_expires(store: BaseOpStoreClient) -> None:
    """
    A lease that is not renewed ends by itself: its holder may have died.
    """
    take(store, "a", "pca", seconds=0.3)

    assert wait_until(lambda: not take(store, "b", "pca"))


def test_publication_ends_the_lease_of_its_job(store: BaseOpStoreClient) -> None:
    """
    The next training begins when what the job trained can be found.
    """
    take(store, "job 1", "pca")
    store.publish(
        Manifest(pipeline="train", job_id="1", attempt=1, saved=(saved(store, "pca", "x"),))
    )

    assert {} == take(store, "b", "pca")


def test_unknown_holder_may_end(store: BaseOpStoreClient) -> None:
    """
    Ending a lease that is not there changes nothing.
    """
    take(store, "a", "pca")
    store.end_lease("nobody")

    assert {"pca": "a"} == take(store, "b", "pca")


def report(app: str, pid: int, **serving: int) -> ServingReport:
    return ServingReport(id=f"{app}-{pid}", app=app, host="h", pid=pid, serving=serving)


def test_processes_of_an_app(store: BaseOpStoreClient) -> None:
    """
    The newest report of each process of an app is kept, for as long as it says.
    """
    store.report(report("shop", 1, predict=1), seconds=60)
    store.report(report("shop", 1, predict=2), seconds=60)
    store.report(report("shop", 2, predict=1), seconds=0.2)
    store.report(report("other", 3), seconds=60)

    assert wait_until(lambda: [report("shop", 1, predict=2)] == list(store.processes("shop")))


def test_load_that_changes_nothing_makes_no_generation(store: BaseOpStoreClient) -> None:
    """
    Activating the newest set again leaves its generation, and counts one more load.
    """
    op = saved(store, "pca", "x")
    store.publish(Manifest(pipeline="p", saved=(op,)), release=True)
    first, second = store.activate("p", [op]), store.activate("p", [op])

    assert [(1, 1), (1, 2)] == [(each.generation, each.loads) for each in (first, second)]
    assert 1 == len(store.activations("p"))


def test_refused_activation_counts_no_load(store: BaseOpStoreClient) -> None:
    """
    An activation of what was never saved changes nothing.
    """
    op = saved(store, "pca", "x")
    store.publish(Manifest(pipeline="p", saved=(op,)), release=True)
    store.activate("p", [op])
    with pytest.raises(OpVersionNotFound):
        store.activate("p", [saved(store, "pca", "y")])

    active = store.active("p")
    assert active is not None
    assert (1, 1) == (active.generation, active.loads)
