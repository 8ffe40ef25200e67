"""
What happens when a process starts, and what it builds up.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chariots_core.errors import (
    VersionError,
)
from chariots_core.pipelines import Node, Pipeline
from chariots_core.versioning import Version
from tests.unit.op_store.kit import (
    OUTPUT,
    App,
    Centre,
    Counter,
    Marked,
    open_store,
    pipelines,
    predict,
    texts,
    train_all,
    train_centre,
    train_scale,
)

MakeApp = Callable[..., App]


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


def test_empty_bytes_are_a_state(make: MakeApp) -> None:
    """
    An op may have no bytes to save at all, and is still an op with state.
    """
    app = make([Pipeline([Node(Marked())], name="marked")])
    app.loaded.load("marked")

    assert 0 == app.store.newest(["marked"])["marked"].size


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
    train_all(app)
    app.loaded.load("predict")

    assert (2, 1) == (
        app.loaded.get("predict").generation,
        other.loaded.get("predict").generation,
    )
