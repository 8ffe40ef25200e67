"""
The contract of op stores, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import attrs
import pytest

from chariots_core.errors import (
    ArtifactCorrupt,
    ConfigurationError,
    OpStoreError,
    OpVersionNotFound,
    StoreUnavailable,
)
from chariots_core.op_store.savers import FileSaver
from chariots_core.op_store.sql_store import LocalOpStoreClient
from chariots_core.op_store.values import Link, Manifest, OpVersion, SavedOp
from tests.unit.op_store.conftest import Place
from tests.unit.op_store.kit import link, open_store, saved, version


def job(store: LocalOpStoreClient, text: str, *, job_id: str = "job", op: str = "pca") -> Manifest:
    """
    What a job trained.
    """
    return Manifest(
        pipeline="train",
        job_id=job_id,
        attempt=1,
        saved=(saved(store, op, text),),
        links=(link("reader", "r", op, text),),
    )


def run(store: LocalOpStoreClient, text: str, *, op: str = "pca") -> Manifest:
    """
    What a run in a web process trained.
    """
    return attrs.evolve(job(store, text, op=op), job_id=None, attempt=0)


def newest(store: LocalOpStoreClient, op: str = "pca", **kwargs: str) -> OpVersion | None:
    return store.newest([op], **kwargs).get(op)  # type: ignore[arg-type]


def texts(store: LocalOpStoreClient, op: str = "pca") -> list[str]:
    """
    What was saved of an op, newest first, by its bytes.
    """
    return [store.get_blob(found.digest or "").decode() for found in store.savings(op)]


# --- versions ----------------------------------------------------------------


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


# --- publishing --------------------------------------------------------------


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


# --- links -------------------------------------------------------------------


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


# --- registration and activation ---------------------------------------------


def first(store: LocalOpStoreClient, pipeline: str, text: str) -> Manifest:
    ops = (
        SavedOp(op="reader", version=version("r")),
        attrs.evolve(saved(store, "pca", text), trained=False),
    )
    return Manifest(pipeline=pipeline, saved=ops, links=(link("reader", "r", "pca", text),))


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


# --- the calls of old --------------------------------------------------------


def test_old_calls_save_and_give_bytes(store: LocalOpStoreClient) -> None:
    """
    Bytes saved for a version of an op come back, and the version is among the op's.
    """
    unknown = store.get_all_versions_of_op("pca")
    store.save_op_bytes("pca", version("v1"), b"one")
    store.save_op_bytes("pca", version("v2"), b"two")

    assert (None, {version("v1"), version("v2")}, b"one") == (
        unknown,
        store.get_all_versions_of_op("pca"),
        store.get_op_bytes_for_version("pca", version("v1")),
    )


def test_old_calls_name_what_is_unknown(store: LocalOpStoreClient) -> None:
    """
    Bytes of a version that was never saved are an error that names it.
    """
    with pytest.raises(OpVersionNotFound, match="'pca' has no bytes"):
        store.get_op_bytes_for_version("pca", version("v1"))


def test_old_links_are_to_the_newest_downstream(store: LocalOpStoreClient) -> None:
    """
    A link that names no downstream version is to its newest one, and ends when it is retrained.
    """
    store.save_op_bytes("pca", version("p1"), b"pca")
    store.save_op_bytes("forest", version("f1"), b"forest")
    before = store.get_validated_links("forest", "pca")
    store.register_valid_link("forest", "pca", version("p1"))
    valid = store.get_validated_links("forest", "pca")
    two_sided = store.valid([link("pca", "p1", "forest", "f1")])
    store.save_op_bytes("forest", version("f2"), b"forest again")

    assert (None, {version("p1")}, frozenset([link("pca", "p1", "forest", "f1")]), None) == (
        before,
        valid,
        two_sided,
        store.get_validated_links("forest", "pca"),
    )


def test_old_links_to_the_output(store: LocalOpStoreClient) -> None:
    """
    An op that ends a pipeline can be validated without a downstream op.
    """
    store.register_valid_link(None, "forest", version("f1"))

    assert ({version("f1")}, None) == (
        store.get_validated_links(None, "forest"),
        store.get_validated_links(None, "pca"),
    )


def test_old_calls_know_pipelines(store: LocalOpStoreClient) -> None:
    """
    A pipeline that was registered exists, once, and has no active set by that alone.
    """
    before = store.pipeline_exists("predict")
    store.register_new_pipeline("predict", "forest")
    store.register_new_pipeline("predict", "forest")

    assert (False, True, None) == (
        before,
        store.pipeline_exists("predict"),
        store.active("predict"),
    )


def test_nameless_pipeline_is_refused(store: LocalOpStoreClient) -> None:
    """
    A pipeline without a name is not registered.
    """
    with pytest.raises(OpStoreError, match="give it and its last op a name"):
        store.register_new_pipeline("")


# --- the store itself --------------------------------------------------------


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
        store = open_store(address, tmp_path)
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
