"""
Pipelines as one process serves them: loaded, kept fresh, saved.

Two apps on one store stand for two processes here; where it is about processes
themselves, see the tests with real ones.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from chariots_core.errors import (
    ArtifactCorrupt,
    ConfigurationError,
    OpStoreError,
    PipelineError,
    PipelineNotFound,
    StoreUnavailable,
    UntrustedArtifact,
    VersionError,
)
from chariots_core.op_store.blobs import blob_path
from chariots_core.op_store.sql_store import LocalOpStoreClient
from chariots_core.op_store.values import short_version
from chariots_core.pipelines import BaseOp, LoadableOp, Node, Pipeline
from chariots_core.versioning import Version, VersionedField, VersionType
from tests.unit.op_store.conftest import Place
from tests.unit.op_store.kit import (
    INPUT,
    OUTPUT,
    App,
    Centre,
    Counter,
    Numbers,
    Rounded,
    Scale,
    count,
    open_store,
    pipelines,
    predict,
    recoded,
    train_centre,
    train_scale,
)

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


def texts(app: App, name: str) -> dict[str, str]:
    return dict(app.loaded.versions(name))


def train_all(app: App, job: str = "job") -> None:
    """
    Train the whole chain on workers, the second op with the first.
    """
    app.train("train_centre", job_id=f"{job}-centre")
    app.loaded.load("train_scale")
    app.train("train_scale", job_id=f"{job}-scale")


# --- the first start ---------------------------------------------------------


def test_making_touches_nothing(tmp_path: Path) -> None:
    """
    No store is opened before it is needed.
    """
    App(open_store(f"sqlite:///{tmp_path}/x/store.db", tmp_path / "bytes"))

    assert [] == list(tmp_path.iterdir())


def test_first_start_registers(app: App) -> None:
    """
    Pipelines that the store does not know get first versions, valid links, an active set.
    """
    app.loaded.open()
    active = app.store.active("predict")
    assert active is not None

    assert {"train_centre", "train_scale", "predict", "count"} == app.store.known_pipelines()
    assert (1, {"centre", "scale", "rounded"}, [1.25]) == (
        active.generation,
        set(active.versions),
        app.call("predict", [1.251]),
    )
    assert all(app.loaded.is_loaded(name) for name in app.pipelines)


def test_first_versions_are_saved_once(app: App) -> None:
    """
    An op of several pipelines has one first version.
    """
    app.loaded.open()

    assert [1, 1, 1, 1] == [
        len(app.store.savings(op)) for op in ("centre", "scale", "numbers", "rounded")
    ]


def test_second_start_leaves_all_as_it_is(app: App, make: MakeApp) -> None:
    """
    A known pipeline is loaded, and neither registered nor activated again.
    """
    app.loaded.open()
    before = app.store.revision()
    again = make()
    again.loaded.open()

    assert (before, 1) == (app.store.revision(), again.loaded.get("predict").generation)


def test_new_pipeline_of_known_ops_starts_with_what_is_saved(make: MakeApp) -> None:
    """
    A pipeline that is served first after a training has the trained versions.
    """
    app = make([train_centre(), train_scale()])
    train_all(app)

    assert [47.0] == make([predict()]).call("predict", [2.0])


def test_new_pipeline_validates_no_trainings_apart(make: MakeApp) -> None:
    """
    Registering a pipeline does not join two trained versions that never ran together.
    """
    app = make([train_centre(), train_scale()])
    train_all(app)
    app.train("train_centre", job_id="again")

    with pytest.raises(VersionError, match=r"'centre' .* -> 'scale' .* is not validated"):
        make([predict()]).call("predict", [2.0])


def test_users_objects_are_never_changed(make: MakeApp) -> None:
    """
    Serving, training, saving and loading leave the pipelines and ops as they were given.
    """
    served = pipelines()
    before = {p.name: dict(p.ops) for p in served}
    app = make(served)
    train_all(app)
    app.loaded.load("predict")
    for _ in range(3):
        app.call("count")
    app.loaded.save("count")
    centre = served[0].ops["centre"]
    counter = served[3].ops["counter"]
    assert isinstance(centre, Centre)
    assert isinstance(counter, Counter)

    assert before == {p.name: dict(p.ops) for p in served}
    assert (0.0, Centre().op_version, 0) == (centre.state, centre.op_version, counter.count)


def test_versions_are_the_same_text_in_every_process(app: App, make: MakeApp) -> None:
    """
    The version of a node, creation time included, does not depend on who is asked.
    """
    expected = {name: texts(app, name) for name in app.pipelines}
    again = make()

    assert expected == {name: texts(again, name) for name in again.pipelines}
    assert expected["predict"]["centre"] == str(Version.parse(expected["predict"]["centre"]))


# --- state of the process ----------------------------------------------------


def test_counter_counts_until_something_is_loaded(app: App) -> None:
    """
    State that an op builds up stays from call to call, and a load replaces it by the saved one.
    """
    counted = [app.call("count") for _ in range(3)]
    app.loaded.load("count")

    assert ([1, 2, 3], 1) == (counted, app.call("count"))


def test_saved_state_is_loaded(app: App, make: MakeApp) -> None:
    """
    What was built up and saved goes on after a load, in this process and in a new one.
    """
    for _ in range(3):
        app.call("count")
    app.loaded.save("count")
    app.call("count")
    app.loaded.load("count")
    here = app.call("count")

    assert (4, 4) == (here, make().call("count"))


def test_state_saved_twice(app: App) -> None:
    """
    The state that was saved last is the one that is loaded, also if it was saved before.
    """
    loaded = []
    for calls in (1, 1, 0):
        for _ in range(calls):
            app.call("count")
        app.loaded.save("count")
        app.loaded.load("count")
        loaded.append(app.loaded.get("count").ops["counter"].serialize())  # type: ignore[attr-defined]

    assert [b"1", b"2", b"2"] == loaded


def test_loading_one_pipeline_leaves_the_others(app: App) -> None:
    """
    What a pipeline has built up is not lost because another one is loaded or saved.
    """
    app.call("count")
    app.loaded.load("predict")
    app.loaded.save("predict")

    assert 2 == app.call("count")


def test_loading_reaches_the_state_of_other_processes(app: App, make: MakeApp) -> None:
    """
    A load is for every process: what another one has built up is replaced as well.
    """
    other = make()
    other.call("count")
    app.loaded.load("count")

    assert 1 == other.call("count")


def test_one_op_at_two_nodes_stays_one(make: MakeApp) -> None:
    """
    An op object that stands at two nodes, or in two pipelines, shares its state there.
    """
    counter = Counter()
    first = Pipeline(
        [Node(counter, name="a"), Node(counter, output_nodes=OUTPUT, name="b")], name="first"
    )
    app = make([first, Pipeline([Node(counter, output_nodes=OUTPUT)], name="second")])

    assert 2 == app.call("first")
    assert app.loaded.get("first").ops["a"] is app.loaded.get("first").ops["b"]


def test_running_calls_keep_what_they_began_with(app: App) -> None:
    """
    A snapshot is not changed by a load that happens while it is used.
    """
    snapshot = app.loaded.get("predict")
    train_all(app)
    app.loaded.load("predict")
    old = app.pipelines["predict"].run([2.0], ops=snapshot.ops)

    assert ([2.0], [47.0]) == (old, app.call("predict", [2.0]))


# --- trained on workers ------------------------------------------------------


def test_trained_chain_is_served_after_a_load(app: App) -> None:
    """
    What jobs trained is served once it is loaded, without a save; until then the old is.
    """
    app.loaded.open()
    train_all(app)
    before = app.call("predict", [2.0])
    app.loaded.load("predict")

    # centre has learnt 1 + 2 + 6, and scale the same numbers with 9 added to each
    assert ([2.0], [2.0 + 9.0 + 36.0]) == (before, app.call("predict", [2.0]))


def test_retrained_upstream_blocks(app: App) -> None:
    """
    A newer upstream cannot be loaded before its consumer was trained with it; who
    asks is told both versions and the remedy, and the old set is served on.
    """
    train_all(app)
    app.loaded.load("predict")
    served = app.call("predict", [2.0])
    app.train("train_centre", job_id="again")
    newest = app.store.newest(["centre", "scale"])
    before = (app.store.active("predict"), app.store.revision())

    with pytest.raises(VersionError) as caught:
        app.loaded.load("predict")

    assert (
        (
            f"'centre' {short_version(newest['centre'].version)} -> "
            f"'scale' {short_version(newest['scale'].version)} is not validated: "
            "train 'scale' again with this version of 'centre', then load 'predict'"
        ),
    ) == caught.value.blockers
    assert before == (app.store.active("predict"), app.store.revision())
    assert (True, served) == (app.loaded.is_loaded("predict"), app.call("predict", [2.0]))


def test_consumer_trained_again_unblocks(app: App) -> None:
    """
    After the consumer was trained with the newer upstream, all can be loaded.
    """
    train_all(app)
    train_all(app, job="again")
    app.loaded.load("predict")

    assert (2, 2) == (
        app.loaded.get("predict").generation,
        len({saving.version for saving in app.store.savings("scale") if saving.job_id}),
    )


@pytest.mark.parametrize("saved", ["predict", "train_scale", "train_centre"])
def test_saving_does_not_talk_a_blocker_away(app: App, saved: str) -> None:
    """
    Saving a pipeline that was not trained validates no upstream that it never ran with.
    """
    train_all(app)
    app.loaded.load("predict")
    app.train("train_centre", job_id="again")
    app.loaded.load("train_scale")
    app.loaded.save(saved)

    with pytest.raises(VersionError):
        app.loaded.load("predict")


def test_training_goes_on_from_the_newest_version(app: App, make: MakeApp) -> None:
    """
    Each training starts from the newest saved state, in whichever process it runs.
    """
    other = make()
    app.train("train_centre", job_id="one")
    other.train("train_centre", job_id="two")
    app.train("train_centre", job_id="three")

    assert b"27.0" == app.store.get_blob(app.store.newest(["centre"])["centre"].digest or "")


def test_other_ops_of_a_training_come_from_its_active_set(app: App) -> None:
    """
    An upstream that was retrained reaches a training only when that pipeline is loaded.
    """
    app.train("train_centre", job_id="one")
    before = app.train("train_scale", job_id="two")
    app.loaded.load("train_scale")
    after = app.train("train_scale", job_id="three")

    assert (9.0, 45.0) == (before[0] - 1.0, after[0] - 10.0)


def test_failed_training_leaves_nothing(app: App, make: MakeApp) -> None:
    """
    A run that raises publishes nothing, and its half-trained op is thrown away.
    """

    class Broken(BaseOp):
        def execute(self, numbers: object) -> None:
            raise RuntimeError("broken after training")

    served = Pipeline(
        [
            Node(Numbers(), output_nodes="x"),
            Node(Centre(fits=True), ["x"], "y"),
            Node(Broken(), ["y"], OUTPUT),
        ],
        name="broken",
    )
    app = make([served, train_centre()])
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken after training"):
            app.train("broken")

    assert (1, None, 10.0) == (
        len(app.store.savings("centre")),
        app.store.candidate("broken"),
        app.train("train_centre")[0],
    )


def test_versions_of_a_training_are_those_it_made(app: App) -> None:
    """
    The run tells the versions that it made, and they are the pipeline's from then on.
    """
    before = texts(app, "train_centre")
    with app.loaded.training("train_centre") as run:
        app.pipelines["train_centre"].run(ops=run.ops)
        made = dict(run.versions())
        app.loaded.publish(run.stage(job_id="job"))
    saved = str(app.store.newest(["centre"])["centre"].version)

    assert (saved, before["numbers"]) == (made["centre"], made["numbers"])
    assert before["centre"] != saved
    assert made == texts(app, "train_centre")


# --- trained in web processes ------------------------------------------------


def train_all_here(app: App, saver: App) -> None:
    """
    Train the whole chain in a web process, and let another one save it.
    """
    app.train("train_centre")
    saver.loaded.save("train_centre")
    app.loaded.load("train_scale")
    app.train("train_scale")
    saver.loaded.save("train_scale")


def test_saved_training_is_served_after_a_load(app: App) -> None:
    """
    What a web process trained is served after a save and a load.
    """
    train_all_here(app, app)
    app.loaded.load("predict")

    assert [47.0] == app.call("predict", [2.0])


def test_any_process_saves_and_loads(app: App, make: MakeApp) -> None:
    """
    One process trains, another saves, a third loads, and all serve it.
    """
    trainer, saver = make(), make()
    train_all_here(trainer, saver)
    app.loaded.load("predict")

    assert [[47.0]] * 3 == [each.call("predict", [2.0]) for each in (app, trainer, saver)]


def test_unsaved_training_is_not_served(app: App, make: MakeApp) -> None:
    """
    What was trained and not saved changes nothing for others, and blocks nobody.
    """
    app.train("train_centre")
    app.loaded.load("predict")

    assert ([2.0], [2.0]) == (app.call("predict", [2.0]), make().call("predict", [2.0]))


def test_unsaved_trainings_add_up(app: App, make: MakeApp) -> None:
    """
    A training in any web process goes on from the last one, saved or not.
    """
    outputs = [each.train("train_centre")[0] for each in (app, make(), app)]

    assert [10.0, 19.0, 28.0] == outputs


def test_saving_takes_the_newest_run(app: App, make: MakeApp) -> None:
    """
    Of several unsaved trainings, a save takes the last, whichever process made it.
    """
    other = make()
    app.train("train_centre")
    other.train("train_centre")
    app.loaded.save("train_centre")

    assert b"18.0" == app.store.get_blob(app.store.newest(["centre"])["centre"].digest or "")


def test_saving_does_not_go_behind_a_job(app: App) -> None:
    """
    A run that a job has outdone since is no longer taken by a save.
    """
    app.train("train_centre")
    app.train("train_centre", job_id="job")
    newest = app.store.newest(["centre"])
    app.loaded.save("train_centre")

    assert newest == app.store.newest(["centre"])


# --- what changes in the code ------------------------------------------------


def rounded(digits: int) -> type[Any]:
    return recoded(Rounded, digits=VersionedField(digits, VersionType.MINOR))


def test_changed_op_is_not_served_before_it_is_saved(app: App, make: MakeApp) -> None:
    """
    A new version of an op without state is not valid with what was there, until its
    pipeline is saved; the other pipelines go on.
    """
    train_all(app)
    app.loaded.load("predict")
    changed = make([train_centre(), train_scale(), predict(rounded(1)), count()])
    with pytest.raises(VersionError, match=r"-> 'rounded' .*: save 'predict' if the two fit"):
        changed.call("predict", [2.25])
    before = [changed.loaded.is_loaded(name) for name in ("predict", "count")]
    changed.loaded.save("predict")

    assert ([False, True], [47.2]) == (before, changed.call("predict", [2.25]))


def test_saved_code_is_valid_in_other_processes(app: App, make: MakeApp) -> None:
    """
    Once one process has saved a pipeline of new code, the others serve it as well.
    """
    app.loaded.open()
    first, second = make([predict(rounded(1))]), make([predict(rounded(1))])
    before = [each.loaded.is_loaded("predict") for each in (first, second)]
    first.loaded.save("predict")

    assert ([False, False], True, [2.2]) == (
        before,
        second.loaded.is_loaded("predict"),
        second.call("predict", [2.25]),
    )


def test_training_does_not_invalidate_stateless_ops(app: App, make: MakeApp) -> None:
    """
    Code that was saved as valid stays so for later trainings.
    """
    app.loaded.open()
    changed = make([train_centre(), train_scale(), predict(rounded(1)), count()])
    changed.loaded.save("predict")
    train_all(changed)
    changed.loaded.load("predict")

    assert [47.2] == changed.call("predict", [2.25])


def test_new_major_keeps_fresh_state(app: App, make: MakeApp) -> None:
    """
    A newer major version in code than in the store keeps the code's fresh state, and
    blocks its pipelines: its own training, and a word on the stateless ops beside it, end that.
    """
    train_all(app)
    app.loaded.load("predict")
    newer = recoded(Scale, kind=VersionedField("other", VersionType.MAJOR))
    changed = make([train_centre(), train_scale(newer), predict(scale=newer)])
    fresh = changed.loaded.get("predict")
    scale = fresh.ops["scale"]
    assert isinstance(scale, Scale)
    trained = changed.train("train_scale", job_id="new")
    with pytest.raises(VersionError) as caught:
        changed.loaded.load("predict")
    changed.loaded.save("predict")
    changed.loaded.load("predict")

    assert (0.0, fresh.error is not None, 46.0) == (scale.state, True, trained[0])
    assert ["'scale'"] == [blocker.split()[0] for blocker in caught.value.blockers]
    assert [47.0] == changed.call("predict", [2.0])


def test_old_release_is_not_disturbed_by_a_new_one(app: App, make: MakeApp) -> None:
    """
    A process of the older code does not take state of the newer code for its own.
    """
    train_all(app)
    app.loaded.load("predict")
    newer = recoded(Scale, kind=VersionedField("other", VersionType.MAJOR))
    changed = make([train_centre(), train_scale(newer), predict(scale=newer)])
    changed.train("train_scale", job_id="new")
    app.loaded.load("predict")

    assert [47.0] == app.call("predict", [2.0])


def test_two_releases_side_by_side(app: App, make: MakeApp) -> None:
    """
    While an older release still trains, each release loads the newest version of its own code.
    """
    newer = recoded(Centre, kind=VersionedField("other", VersionType.MAJOR))
    changed = make([train_centre(newer)])
    app.train("train_centre", job_id="old")
    changed.train("train_centre", job_id="new")
    again = app.train("train_centre", job_id="old again")

    assert (19.0, 19.0) == (again[0], changed.train("train_centre", job_id="new again")[0])


def test_new_minor_loads_what_is_saved(app: App, make: MakeApp) -> None:
    """
    A change below the major version takes the saved state over.
    """
    train_all(app)
    app.loaded.load("predict")
    newer = recoded(Scale, kind=VersionedField("other", VersionType.MINOR))

    assert [47.0] == make([predict(scale=newer)]).call("predict", [2.0])


def test_op_that_takes_any_version(make: MakeApp) -> None:
    """
    An op that says it allows changes of version is never blocked by its upstream.
    """

    class Lenient(Rounded):
        name = "rounded"
        allow_version_change = True

    app = make([predict()])
    app.loaded.open()
    lenient = recoded(Lenient, digits=VersionedField(1, VersionType.MINOR))

    assert [2.2] == make([predict(lenient)]).call("predict", [2.25])


def test_nested_pipelines(make: MakeApp) -> None:
    """
    Ops inside a nested pipeline are saved, linked and loaded like any other.
    """
    inner = Pipeline([Node(Centre(), [INPUT], "x"), Node(Scale(), ["x"], OUTPUT)], name="inner")
    outer = Pipeline([Node(inner, [INPUT], "y"), Node(Rounded(), ["y"], OUTPUT)], name="outer")
    app = make([train_centre(), train_scale(), outer])
    first = texts(app, "outer")
    train_all(app)
    app.loaded.load("outer")
    app.train("train_centre", job_id="again")
    with pytest.raises(VersionError):
        app.loaded.load("outer")

    assert ([47.0], {"inner", "rounded"}) == (app.call("outer", [2.0]), set(first))
    assert (True, True) == (
        first["inner"] != texts(app, "outer")["inner"],
        first["rounded"] == texts(app, "outer")["rounded"],
    )


# --- what others change ------------------------------------------------------


def test_rollback_is_followed(app: App, make: MakeApp) -> None:
    """
    An earlier set that is activated again is served by every process.
    """
    other = make()
    other.loaded.open()
    train_all(app)
    app.loaded.load("predict")
    newer = (app.call("predict", [2.0]), other.call("predict", [2.0]))
    app.store.activate_again("predict", 1)

    assert (([47.0], [47.0]), [2.0], [2.0]) == (
        newer,
        app.call("predict", [2.0]),
        other.call("predict", [2.0]),
    )


def test_store_is_asked_once_in_a_while(make_app: MakeApp) -> None:
    """
    Within the time that a look is good for, nobody asks the store again; own loads count at once.
    """
    app, other = make_app(freshness=3600.0), make_app(freshness=3600.0)
    app.loaded.open()
    other.loaded.open()
    app.loaded.load("predict")

    assert (2, 1) == (
        app.loaded.get("predict").generation,
        other.loaded.get("predict").generation,
    )


# --- what is broken ----------------------------------------------------------


class Flaky(LocalOpStoreClient):
    """
    A store that can be cut off, and then needs some time to say so.
    """

    cut = False
    patience = 0.0
    looks = 0

    def revision(self) -> int:
        self.looks += 1
        if self.cut:
            time.sleep(self.patience)
            raise StoreUnavailable("op store 'x' cannot be used: cut off")
        return super().revision()


@pytest.fixture(name="flaky")
def _flaky(place: Place) -> Iterable[Flaky]:
    store = place.open()
    flaky = Flaky(place.url, store.saver)
    yield flaky
    flaky.close()


def test_outage_does_not_stop_serving(flaky: Flaky, caplog: pytest.LogCaptureFixture) -> None:
    """
    While the store is out of reach, what was loaded is served, and that is logged once.
    """
    app = App(flaky, freshness=0.0)
    app.loaded.open()
    flaky.cut = True
    with caplog.at_level(logging.WARNING):
        served = [app.call("predict", [2.0]) for _ in range(3)]
    flaky.cut = False
    app.loaded.load("predict")

    assert ([[2.0]] * 3, 1, 2) == (
        served,
        len(caplog.records),
        app.loaded.get("predict").generation,
    )


def test_slow_outage_does_not_slow_serving(flaky: Flaky) -> None:
    """
    A store that lets its users wait for an error is asked the more rarely.
    """
    app = App(flaky, freshness=0.0)
    app.loaded.open()
    flaky.cut, flaky.patience, flaky.looks = True, 0.2, 0
    for _ in range(20):
        app.call("predict", [2.0])

    assert 1 == flaky.looks


def test_outage_at_the_start_is_an_error_until_it_ends(flaky: Flaky) -> None:
    """
    A process that never reached its store says so at every call, and works once it does.
    """
    app = App(flaky)
    flaky.cut = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cut off"):
            app.loaded.get("predict")
    flaky.cut = False

    assert [2.0] == app.call("predict", [2.0])


def damage(app: App, place: Place, op: str) -> None:
    digest = app.store.newest([op])[op].digest
    assert digest is not None
    (Path(place.folder) / blob_path(digest)).write_bytes(b"damaged")


def test_load_of_damaged_bytes_changes_nothing(app: App, place: Place) -> None:
    """
    Bytes that are not what was saved are refused, and the old set is served on.
    """
    app.loaded.open()
    train_all(app)
    damage(app, place, "scale")
    before = app.store.revision()
    with pytest.raises(ArtifactCorrupt, match="damaged"):
        app.loaded.load("predict")

    assert (before, [2.0]) == (app.store.revision(), app.call("predict", [2.0]))


def test_damaged_pipeline_does_not_harm_the_others(
    app: App, make: MakeApp, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A process that starts on damaged bytes serves what it can; training and loading mends the rest.
    """
    train_all(app)
    app.loaded.load("predict")
    damage(app, place, "scale")
    again = make()
    with pytest.raises(ArtifactCorrupt):
        again.call("predict", [2.0])
    others = again.call("count")
    again.train("train_scale", job_id="mend")
    again.loaded.load("predict")

    assert (1, [47.0]) == (others, again.call("predict", [2.0]))
    assert any("'predict' cannot be served" in line for line in caplog.messages)


def test_serializer_of_the_process_decides(app: App, make: MakeApp) -> None:
    """
    Bytes of another format than the op's own are never given to it.
    """

    class Other(Centre):
        name = "centre"
        serializer = "other"

        def load(self, serialized_object: bytes) -> None:
            raise AssertionError("bytes of a foreign format were read")

    app.loaded.open()
    changed = make([predict(centre=Other)])

    with pytest.raises(UntrustedArtifact, match=r"'centre' .* 'custom'.* reads 'other'"):
        changed.call("predict", [2.0])


def test_op_that_cannot_load_is_named(app: App, make: MakeApp) -> None:
    """
    An op that raises on its bytes is an error that names it, with what it raised.
    """

    class Picky(Centre):
        name = "centre"

        def load(self, serialized_object: bytes) -> None:
            raise KeyError("weights")

    app.loaded.open()
    changed = make([predict(centre=Picky)])

    with pytest.raises(OpStoreError, match=r"'centre' cannot load its .* KeyError") as caught:
        changed.call("predict", [2.0])
    assert isinstance(caught.value.__cause__, KeyError)


def test_op_that_cannot_be_saved_is_named(make: MakeApp) -> None:
    """
    An op that gives no bytes is an error that names it and says what to return.
    """

    class Text(Centre):
        def serialize(self) -> bytes:
            return "text"  # type: ignore[return-value]

    with pytest.raises(OpStoreError, match=r"'text' cannot be saved.*'str' object; return bytes"):
        make([predict(centre=Text)]).loaded.open()


def test_op_that_cannot_be_copied_is_named(make: MakeApp) -> None:
    """
    An op whose state cannot be copied is an error as soon as the app is made.
    """

    class Locked(Counter):
        def __init__(self) -> None:
            super().__init__()
            self.lock = threading.Lock()

    with pytest.raises(PipelineError, match=r"'locked' cannot be copied.*override copy"):
        make([Pipeline([Node(Locked(), output_nodes=OUTPUT)], name="locked")])


def test_two_classes_of_one_name_are_refused(make: MakeApp) -> None:
    """
    Two classes of ops with state that share a name by accident would share their state.
    """

    class Counter(Marked):
        """
        Another one.
        """

    other = Pipeline([Node(Counter())], name="other")

    with pytest.raises(ConfigurationError, match=r"kit.Counter and .*Counter .* op 'counter'"):
        make([count(), other])


def test_two_classes_may_share_a_name_on_purpose(make: MakeApp) -> None:
    """
    A class that says its name itself shares state with another one.
    """

    class Shown(Counter):
        name = "counter"

        def execute(self) -> int:
            return self.count

    app = make([count(), Pipeline([Node(Shown(), output_nodes=OUTPUT)], name="show")])
    app.call("count")
    app.loaded.save("count")
    app.loaded.load("show")

    assert 1 == app.call("show")


@pytest.mark.parametrize("use", ["get", "load", "save", "is_loaded", "versions", "for_training"])
def test_unknown_pipeline_is_named(app: App, use: str) -> None:
    """
    A pipeline that the app does not have is an error that lists those it has.
    """
    with pytest.raises(PipelineNotFound, match=r"no pipeline 'x'.*'count', 'predict'"):
        getattr(app.loaded, use)("x")


# --- threads and forks -------------------------------------------------------


def in_threads(number: int, do: Callable[[int], object]) -> None:
    """
    Do something in several threads at once; the first exception is raised here.
    """
    failures: list[BaseException] = []
    start = threading.Barrier(number)

    def work(index: int) -> None:
        try:
            start.wait(10)
            do(index)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_first_use_by_many_threads(app: App) -> None:
    """
    Threads that come at once wait for the one that opens, and register once.
    """
    in_threads(8, lambda _: app.call("predict", [2.0]))

    assert 1 == len(app.store.savings("scale"))


def test_trainings_of_one_op_follow_one_another(app: App) -> None:
    """
    Trainings at the same time, by jobs or requests, lose nothing of one another.
    """
    app.loaded.open()
    in_threads(
        6, lambda index: app.train("train_centre", job_id=f"j{index}" if index % 2 else None)
    )
    trained = app.loaded.for_training("train_centre")["centre"]

    assert isinstance(trained, Centre)
    assert 54.0 == trained.state


def test_trainings_of_two_pipelines_with_one_op_follow_one_another(make: MakeApp) -> None:
    """
    It is the op that is locked: another pipeline that trains it waits, others do not.
    """
    another = Pipeline(
        [Node(Numbers(), output_nodes="x"), Node(Centre(fits=True), ["x"], OUTPUT)], name="another"
    )
    app = make([train_centre(), another, train_scale()])
    app.loaded.open()
    entered = threading.Event()

    def train_another() -> None:
        with app.loaded.training("another"):
            entered.set()

    thread = threading.Thread(target=train_another)
    with app.loaded.training("train_centre"):
        thread.start()
        app.train("train_scale")
        waits = not entered.wait(0.2)
    thread.join(10)

    assert (True, True) == (waits, entered.is_set())


def test_predictions_go_on_during_a_load(make: MakeApp) -> None:
    """
    While one thread loads, others are served by what there was.
    """
    inside, go_on = threading.Event(), threading.Event()

    class Slow(Counter):
        name = "counter"
        slow = False

        def load(self, serialized_object: bytes) -> None:
            if Slow.slow:
                inside.set()
                assert go_on.wait(10)
            super().load(serialized_object)

    app = make([Pipeline([Node(Slow(), output_nodes=OUTPUT)], name="slow")])
    app.loaded.open()
    Slow.slow = True
    loader = threading.Thread(target=app.loaded.load, args=("slow",))
    loader.start()
    assert inside.wait(10)
    counted = [app.call("slow"), app.call("slow")]
    go_on.set()
    loader.join(10)

    assert ([1, 2], 1) == (counted, app.call("slow"))


def test_forked_child_serves_and_trains(sqlite_place: Place) -> None:
    """
    A child of a process that has opened its store works, also if a lock was held at the fork.
    """
    app = App(sqlite_place.open(), freshness=0.0)
    app.call("predict", [2.0])
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with app.loaded.training("train_centre"), app.loaded._lock:
            held.set()
            over.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    pid = _fork_quietly()
    if pid == 0:
        app.train("train_centre", job_id="child")
        os._exit(0 if app.call("predict", [2.0]) == [2.0] else 1)
    over.set()
    holder.join()
    _, status = os.waitpid(pid, 0)

    assert (0, "child") == (
        os.waitstatus_to_exitcode(status),
        app.store.newest(["centre"])["centre"].job_id,
    )


def _fork_quietly() -> int:
    import warnings

    with warnings.catch_warnings():
        # from Python 3.12 on, forking beside a thread warns; here that is the point
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


class Marked(LoadableOp):
    """
    An op without a state to speak of.
    """

    def execute(self) -> None: ...

    def serialize(self) -> bytes:
        return b""

    def load(self, serialized_object: bytes) -> None: ...


def test_empty_bytes_are_a_state(make: MakeApp) -> None:
    """
    An op may have no bytes to save at all, and is still an op with state.
    """
    app = make([Pipeline([Node(Marked())], name="marked")])
    app.loaded.load("marked")

    assert 0 == app.store.newest(["marked"])["marked"].size
