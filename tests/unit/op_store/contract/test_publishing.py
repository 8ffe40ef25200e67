"""
What jobs and runs publish: once, and whole.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import attrs

from chariots_core.op_store.sql_store import LocalOpStoreClient
from chariots_core.op_store.values import Manifest
from tests.unit.op_store.conftest import Place
from tests.unit.op_store.contract.manifests import job, newest, run, texts
from tests.unit.op_store.kit import open_store, version


def test_job_is_published_once(store: LocalOpStoreClient) -> None:
    """
    Publishing a job's manifest again changes nothing at all.
    """
    manifest = job(store, "v1")
    first = store.publish(manifest)
    store.publish(job(store, "v2", job_id="other"))
    before = store.revision()
    second = store.publish(Manifest.from_json(manifest.to_json()))

    assert (True, False, ["v2", "v1"], before) == (first, second, texts(store), store.revision())


def test_attempts_of_one_job_publish_once(store: LocalOpStoreClient) -> None:
    """
    Whatever a second attempt of a published job staged, it stays unknown.
    """
    store.publish(job(store, "v1"))
    late = store.publish(attrs.evolve(job(store, "v2"), attempt=2))

    assert (False, ["v1"]) == (late, texts(store))


def test_staged_bytes_are_nothing_yet(store: LocalOpStoreClient) -> None:
    """
    Bytes of an attempt that was lost before it was published make no version.
    """
    job(store, "v1")

    assert ({}, 0) == (store.newest(["pca"]), store.revision())


def publish_once(url: str, folder: str, text: str) -> bool:
    store = open_store(url, folder)
    try:
        return store.publish(Manifest.from_json(text))
    finally:
        store.close()


def test_two_processes_publish_one_job_at_once(
    store: LocalOpStoreClient, place: Place, processes: ProcessPoolExecutor
) -> None:
    """
    Of two processes that publish the same jobs at the same time, one publishes each.
    """
    manifests = [job(store, f"v{number}", job_id=f"job-{number}") for number in range(10)]
    answers = [
        [
            processes.submit(publish_once, place.url, place.folder, manifest.to_json())
            for _ in range(2)
        ]
        for manifest in manifests
    ]

    assert ([1] * 10, 10, 10) == (
        [sum(answer.result(30) for answer in pair) for pair in answers],
        len(store.savings("pca")),
        store.revision(),
    )


def test_job_validates_its_links(store: LocalOpStoreClient) -> None:
    """
    What a job ran together is valid from its publication on.
    """
    manifest = job(store, "v1")
    before = store.valid(manifest.links)
    store.publish(manifest)

    assert (frozenset(), frozenset(manifest.links)) == (before, store.valid(manifest.links))


def test_run_without_job_is_a_candidate(store: LocalOpStoreClient) -> None:
    """
    What a web process trained is kept, and neither saved nor valid; only trainings see it.
    """
    manifest = run(store, "v1")
    store.publish(manifest)
    trained = newest(store, trained_by="train")
    assert trained is not None

    assert ({}, frozenset(), manifest, False, version("v1"), None) == (
        store.newest(["pca"]),
        store.valid(manifest.links),
        store.candidate("train"),
        trained.released,
        trained.version,
        newest(store, trained_by="another"),
    )


def test_released_candidate_is_saved(store: LocalOpStoreClient) -> None:
    """
    Once released, a candidate is the newest version, valid, and no candidate any more.
    """
    manifest = run(store, "v1")
    store.publish(manifest)
    store.publish(job(store, "v2", job_id="other", op="pca"), release=False)
    store.publish(manifest, release=True)

    assert (["v1"], frozenset(manifest.links), None) == (
        texts(store),
        store.valid(manifest.links),
        store.candidate("train"),
    )


def test_newer_run_replaces_the_candidate(store: LocalOpStoreClient) -> None:
    """
    The candidate is what the newest run trained; a job that came later leaves none.
    """
    store.publish(run(store, "v1"))
    store.publish(run(store, "v2"))
    second = store.candidate("train")
    store.publish(job(store, "v3"))

    assert (run(store, "v2"), None) == (second, store.candidate("train"))


def test_training_starts_from_what_came_last(store: LocalOpStoreClient) -> None:
    """
    A later save outdoes an earlier candidate, and a later candidate an earlier save.
    """
    store.publish(run(store, "v1"))
    store.publish(job(store, "v2"))
    saved_last = newest(store, trained_by="train")
    store.publish(run(store, "v3"))
    run_last = newest(store, trained_by="train")
    assert saved_last is not None
    assert run_last is not None

    assert (version("v2"), version("v3")) == (saved_last.version, run_last.version)


def test_release_names_the_candidate_it_is_made_from(store: LocalOpStoreClient) -> None:
    """
    A release is taken over as long as nobody has trained or saved since it was made.
    """
    manifest = run(store, "v1")
    store.publish(manifest)
    first = store.release(manifest, candidate=store.candidate("train"))
    again = store.release(manifest, candidate=manifest)

    assert (True, False, ["v1"], None) == (first, again, texts(store), store.candidate("train"))


def test_release_does_not_hide_what_was_trained_meanwhile(store: LocalOpStoreClient) -> None:
    """
    A release made from an older candidate, or from none, changes nothing: the newer
    one stays the candidate, and what the next training starts from.
    """
    older, newer = run(store, "v1"), run(store, "v2")
    store.publish(older)
    store.publish(newer)
    before = store.revision()
    late = [store.release(older, candidate=seen) for seen in (older, None)]
    trained = newest(store, trained_by="train")
    assert trained is not None

    assert ([False, False], before, [], newer, version("v2")) == (
        late,
        store.revision(),
        texts(store),
        store.candidate("train"),
        trained.version,
    )


def test_release_does_not_outdo_what_was_saved_meanwhile(store: LocalOpStoreClient) -> None:
    """
    A release made from a candidate that a job has replaced does not come before the job's.
    """
    manifest = run(store, "v1")
    store.publish(manifest)
    store.publish(job(store, "v2"))

    assert (False, ["v2"]) == (store.release(manifest, candidate=manifest), texts(store))


def test_release_without_a_training_leaves_the_candidate(store: LocalOpStoreClient) -> None:
    """
    Who saves a pipeline and has trained nothing takes no run's training away.
    """
    manifest = run(store, "v1")
    store.publish(manifest)
    store.publish(Manifest(pipeline="train", links=manifest.links), release=True)

    assert (manifest, frozenset(manifest.links)) == (
        store.candidate("train"),
        store.valid(manifest.links),
    )
