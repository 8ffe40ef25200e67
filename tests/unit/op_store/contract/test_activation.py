"""
Links, registration, active sets.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import attrs
import pytest

from chariots_core.errors import (
    OpVersionNotFound,
)
from chariots_core.op_store.sql_store import LocalOpStoreClient
from chariots_core.op_store.values import Manifest, SavedOp
from tests.unit.op_store.conftest import Place
from tests.unit.op_store.contract.manifests import first, job, run
from tests.unit.op_store.kit import link, open_store, saved, version


def test_links_are_two_sided(store: LocalOpStoreClient) -> None:
    """
    A link holds for its two ops, at its two versions, in its direction, and for nothing else.
    """
    known = link("a", "1", "b", "1")
    store.validate([known, known])
    others = [
        link("a", "2", "b", "1"),
        link("a", "1", "b", "2"),
        link("b", "1", "a", "1"),
        link("a", "1", "c", "1"),
    ]

    assert {known} == store.valid([known, *others])
    assert [known] == store.links_between("a", "b")


def test_code_in_a_question(store: LocalOpStoreClient) -> None:
    """
    A code in a question is answered by any version that it saved, and by no other.
    """
    for number, code in enumerate(["c0de", "c0de", "other"]):
        trained = attrs.evolve(saved(store, "a", f"v{number}"), code=code)
        store.publish(Manifest(pipeline="train", job_id=f"job-{number}", saved=(trained,)))
    store.validate([link("a", "v0", "b", "1"), link("x", "1", "a", "v1")])
    good = [
        attrs.evolve(link("a", "v1", "b", "1"), upstream_version="c0de"),
        attrs.evolve(link("x", "1", "a", "v0"), downstream_version="c0de"),
    ]
    bad = [
        attrs.evolve(good[0], upstream_version="other"),
        attrs.evolve(good[0], downstream_version=version("2").identity),
        attrs.evolve(good[1], downstream_version="c0d"),
    ]

    assert set(good) == store.valid([*good, *bad])


def test_many_links_at_once(store: LocalOpStoreClient) -> None:
    """
    A question about hundreds of links is answered as one about a few.
    """
    links = [link("a", str(number), "b", "1") for number in range(450)]
    store.validate(links[::2])

    assert frozenset(links[::2]) == store.valid(links)


def test_registration_saves_validates_and_activates(store: LocalOpStoreClient) -> None:
    """
    A new pipeline has its first versions, its links and its first active set in one step.
    """
    manifest = first(store, "predict", "v1")
    new = store.register([manifest])
    active = store.active("predict")
    assert active is not None

    assert {"predict"} == new == store.known_pipelines()
    assert (1, {"reader": version("r"), "pca": version("v1")}) == (
        active.generation,
        dict(active.versions),
    )
    assert frozenset(manifest.links) == store.valid(manifest.links)


def test_known_pipelines_are_left_as_they_are(store: LocalOpStoreClient) -> None:
    """
    Registering again registers only what is new.
    """
    store.register([first(store, "predict", "v1")])
    before = store.active("predict")
    new = store.register([first(store, "predict", "v2"), first(store, "other", "v1")])

    assert (frozenset({"other"}), before, version("v1")) == (
        new,
        store.active("predict"),
        store.newest(["pca"])["pca"].version,
    )


def test_activation_and_rollback(store: LocalOpStoreClient) -> None:
    """
    Each activation is a new generation, and any earlier one can be served again.
    """
    store.register([first(store, "predict", "v1")])
    store.publish(job(store, "v2"))
    trained = store.newest(["pca"])["pca"].as_saved()
    second = store.activate("predict", [trained, SavedOp(op="reader", version=version("r"))])
    third = store.activate_again("predict", 1)

    assert ([3, 2, 1], version("v2"), version("v1"), third) == (
        [earlier.generation for earlier in store.activations("predict")],
        second.versions["pca"],
        third.versions["pca"],
        store.active("predict"),
    )


def test_rollback_brings_back_the_bytes(store: LocalOpStoreClient) -> None:
    """
    A set names bytes, and not just versions: other bytes of the version do not get into it.
    """
    store.register([first(store, "predict", "v1")])
    other = attrs.evolve(saved(store, "pca", "v1", data=b"other"), trained=False)
    store.publish(Manifest(pipeline="predict", saved=(other,)), release=True)
    store.activate("predict", [store.newest(["pca"])["pca"].as_saved()])
    now = store.active_sets(["predict"])["predict"].ops["pca"]
    back = store.activate_again("predict", 1).ops["pca"]

    assert (b"other", b"v1") == (
        store.get_blob(now.digest or ""),
        store.get_blob(back.digest or ""),
    )


def test_unsaved_versions_cannot_be_activated(store: LocalOpStoreClient) -> None:
    """
    A version that was never saved, a candidate too, is refused, and nothing is changed.
    """
    store.register([first(store, "predict", "v1")])
    store.publish(run(store, "v2"))
    before = (store.active("predict"), store.revision())

    with pytest.raises(OpVersionNotFound, match=r"'pca'.*never saved"):
        store.activate(
            "predict", [SavedOp(op="new", version=version("n")), saved(store, "pca", "v2")]
        )

    assert (before, {}) == (
        (store.active("predict"), store.revision()),
        store.newest(["new"]),
    )


def test_unknown_generation_is_named(store: LocalOpStoreClient) -> None:
    """
    Rolling back to a set that never was is an error that names it.
    """
    with pytest.raises(OpVersionNotFound, match="'predict' was never served at generation 7"):
        store.activate_again("predict", 7)


def test_op_without_state_is_activated_unsaved(store: LocalOpStoreClient) -> None:
    """
    An op without bytes has nothing to save: its version is noted as the set is made.
    """
    active = store.activate("is_odd", [SavedOp(op="isodd", version=version("i"))])

    assert ({"isodd": version("i")}, version("i")) == (
        active.versions,
        store.newest(["isodd"])["isodd"].version,
    )


def test_revision_grows_with_every_change(store: LocalOpStoreClient) -> None:
    """
    Whoever compares revisions sees each change, and none where nothing changed.
    """
    revisions = [store.revision()]
    for change in (
        lambda: store.register([first(store, "predict", "v1")]),
        lambda: store.publish(job(store, "v2")),
        lambda: store.validate([link("a", "1", "b", "1")]),
        lambda: store.activate_again("predict", 1),
    ):
        change()
        revisions.append(store.revision())
    store.register([first(store, "predict", "v1")])

    assert ([0, 1, 2, 3, 4], 4) == (revisions, store.revision())


def register_one(url: str, folder: str) -> frozenset[str]:
    store = open_store(url, folder)
    try:
        return store.register([first(store, f"p{number}", "v1") for number in range(5)])
    finally:
        store.close()


def test_two_processes_register_at_once(
    store: LocalOpStoreClient, place: Place, processes: ProcessPoolExecutor
) -> None:
    """
    On an empty store, without tables, one of two processes registers, and neither fails.
    """
    answers = [processes.submit(register_one, place.url, place.folder) for _ in range(2)]
    registered = [name for answer in answers for name in answer.result(30)]

    assert (sorted(f"p{number}" for number in range(5)), 1) == (
        sorted(registered),
        len(store.savings("pca")),
    )
