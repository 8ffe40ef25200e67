"""
Versions of ops, and which is the newest.
"""

from __future__ import annotations

import attrs
import pytest

from chariots_core.errors import (
    ArtifactCorrupt,
)
from chariots_core.op_store.sql_store import LocalOpStoreClient
from chariots_core.op_store.values import Manifest, SavedOp
from tests.unit.op_store.contract.manifests import job, newest, texts
from tests.unit.op_store.kit import link, saved, version


def test_empty_store_knows_nothing(store: LocalOpStoreClient) -> None:
    """
    A new store answers every question with nothing, and no error.
    """
    assert ({}, [], frozenset(), None, None, frozenset(), [], []) == (
        store.newest(["pca"]),
        store.savings("pca"),
        store.valid([link("a", "1", "b", "1")]),
        store.active("train"),
        store.candidate("train"),
        store.known_pipelines(),
        store.activations("train"),
        store.links_between("a", "b"),
    )


def test_published_versions_tell_their_story(store: LocalOpStoreClient) -> None:
    """
    A version knows its bytes, their size and format, and the job and pipeline it came from.
    """
    described = SavedOp(
        op="pca",
        version=version("v1"),
        code="c0de",
        digest=store.put_blob(b"weights"),
        serializer="skops",
        size=7,
        trained=True,
    )
    store.publish(Manifest(pipeline="train", job_id="job", saved=(described,)))
    known = newest(store)
    assert known is not None

    assert ("pca", version("v1"), "c0de", "skops", 7, "train", "job", True, b"weights") == (
        known.op,
        known.version,
        known.code,
        known.serializer,
        known.size,
        known.pipeline,
        known.job_id,
        known.released,
        store.get_blob(known.digest or ""),
    )
    assert described.version.creation_time == known.version.creation_time
    assert known.created_at.utcoffset() is not None
    assert attrs.evolve(described, trained=False) == known.as_saved()


def test_newest_is_what_was_trained_last(store: LocalOpStoreClient) -> None:
    """
    A later training is newer, also when it comes to a version that was there before.
    """
    for number, text in enumerate(["v1", "v2", "v1"]):
        store.publish(job(store, text, job_id=f"job-{number}"))

    assert (["v1", "v2", "v1"], version("v1")) == (
        texts(store),
        store.newest(["pca"])["pca"].version,
    )


def test_newest_of_many_ops_at_once(store: LocalOpStoreClient) -> None:
    """
    One question answers for all ops; those without versions are left out.
    """
    for number, op in enumerate(["pca", "forest", "pca"]):
        store.publish(job(store, f"v{number}", op=op, job_id=f"job-{number}"))
    found = store.newest(["pca", "forest", "unknown"])

    assert {"pca": version("v2"), "forest": version("v1")} == {
        op: known.version for op, known in found.items()
    }


def test_newest_for_a_code(store: LocalOpStoreClient) -> None:
    """
    Asked for the code of one release, versions of another are passed over.
    """
    for number, code in enumerate(["old", "new", "old"]):
        trained = attrs.evolve(saved(store, "pca", f"v{number}"), code=code)
        store.publish(Manifest(pipeline="train", job_id=f"job-{number}", saved=(trained,)))

    assert (version("v1"), {}) == (
        store.newest(["pca"], code={"pca": "new"})["pca"].version,
        store.newest(["pca"], code={"pca": "other"}),
    )


def test_other_bytes_of_an_old_version_do_not_make_it_newest(store: LocalOpStoreClient) -> None:
    """
    State saved under a version that is not the newest replaces its bytes, not its place.
    """
    store.publish(job(store, "v1", job_id="job-1"))
    store.publish(job(store, "v2", job_id="job-2"))
    other = attrs.evolve(saved(store, "pca", "v1", data=b"other"), trained=False)
    store.publish(Manifest(pipeline="predict", saved=(other,)), release=True)

    assert ("v2", b"other") == (
        texts(store)[0],
        store.get_op_bytes_for_version("pca", version("v1")),
    )


def test_untrained_state_does_not_outdo_a_trained_one(store: LocalOpStoreClient) -> None:
    """
    A state that nobody trained is kept, and is the newest only of another code.
    """
    store.publish(job(store, "trained"))
    fresh = attrs.evolve(saved(store, "pca", "fresh"), trained=False)
    other = attrs.evolve(saved(store, "pca", "other"), trained=False, code="other")
    published = []
    for described in (fresh, other):
        store.publish(Manifest(pipeline="predict", saved=(described,)), release=True)
        published.append(texts(store))

    assert [["trained", "fresh"], ["other", "trained", "fresh"]] == published


def test_other_bytes_of_the_newest_version_are_taken(store: LocalOpStoreClient) -> None:
    """
    State saved under the newest version is what is loaded next, also when it was there before.
    """
    for data in (b"one", b"two", b"one"):
        counted = attrs.evolve(saved(store, "counter", "v", data=data), trained=False)
        store.publish(Manifest(pipeline="count", saved=(counted,)), release=True)

    assert ["one", "two", "one"] == texts(store, "counter")


def test_bytes_that_were_not_put_are_not_published(store: LocalOpStoreClient) -> None:
    """
    A manifest without its bytes publishes nothing, and the error says why that may be.
    """
    lost = SavedOp(op="pca", version=version("v"), digest="ab" * 32, size=7, trained=True)

    with pytest.raises(ArtifactCorrupt, match=r"'pca' cannot be published.*the same place"):
        store.publish(Manifest(pipeline="train", job_id="job", saved=(lost,)))

    assert ({}, 0) == (store.newest(["pca"]), store.revision())
