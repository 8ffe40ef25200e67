"""
Two releases of one op on one store; models whose code has changed; classes that moved.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from chariots_core.errors import (
    ModelOutdated,
    NeverTrained,
    OpNameConflict,
    OpStoreError,
    OpVersionNotFound,
    TrainingInProgress,
)
from chariots_core.op_store.loading import LoadedPipelines
from chariots_core.pipelines import Node, Pipeline
from chariots_core.versioning import VersionedField, VersionType
from tests.unit.op_store.kit import INPUT, OUTPUT, App, Numbers, Trainable

MakeApp = Callable[..., App]


class Mean(Trainable):
    """
    An op that must be trained: the mean of the numbers, times a factor.
    """

    kind = VersionedField("mean", VersionType.MAJOR)
    factor = VersionedField(1.0, VersionType.MINOR)
    made_of = "float"

    def declaration(self) -> Mapping[str, Any]:
        return {"class": self.made_of, "parameters": {"factor": self.factor}}

    def fitted(self) -> Mapping[str, Any]:
        return {"class": self.made_of, "parameters": {"factor": self.factor}}

    def execute(self, numbers: Sequence[float]) -> float:  # type: ignore[override]
        if self.fits:
            # a training that goes on from a saved state shows that here
            self.state += self.factor * sum(numbers) / len(numbers)
        return self.state


def release(module: str = __name__, base: type[Any] = Mean, **changed: object) -> list[Pipeline]:
    """
    The pipelines of a release, with other values in the code of its op.
    """
    mean = type("Mean", (base,), {**changed, "__module__": module})
    return [
        Pipeline(
            [Node(Numbers(), output_nodes="x"), Node(mean(fits=True), ["x"], OUTPUT)], "train"
        ),
        Pipeline([Node(mean(), [INPUT], OUTPUT)], "predict"),
    ]


def major(text: str) -> VersionedField[str]:
    return VersionedField(text, VersionType.MAJOR)


def minor(factor: float) -> VersionedField[float]:
    return VersionedField(factor, VersionType.MINOR)


def trained(app: App, job: str = "job") -> float:
    """
    Train, load and predict.
    """
    app.train("train", job_id=job)
    app.loaded.load("predict")
    return float(app.call("predict", [0.0]))


def generations(app: App) -> tuple[int, int, bool]:
    """
    The generation that serves here, the newest one, and whether the pipeline can be served.
    """
    loaded = app.loaded.get("predict")
    return loaded.generation, loaded.newest[0], loaded.is_loaded


# -- never trained


def test_what_was_never_trained_is_not_loaded(make: MakeApp) -> None:
    """
    A pipeline whose op no run has trained can neither be loaded nor run, and the refusal
    has the commands; nothing is activated.
    """
    app = make(release())
    with pytest.raises(NeverTrained, match=r"op 'mean' was never trained") as caught:
        app.loaded.load("predict")
    with pytest.raises(NeverTrained):
        app.call("predict", [1.0])

    assert (
        "chariots call train --wait",
        "chariots save train",
        "chariots load predict",
    ) == caught.value.commands
    assert (1, 1, False) == generations(app)


def test_each_training_starts_fresh(make: MakeApp) -> None:
    """
    A training does not go on from what was saved, unless the op says so.
    """
    app = make(release())
    going_on = make(release(continue_training=True))
    fresh = [trained(app, "one"), trained(app, "two")]

    assert ([3.0, 3.0], 6.0) == (fresh, trained(going_on, "three"))
    origin = app.store.newest(["mean"])["mean"].origin
    assert origin is not None
    assert origin.continued_from == app.store.savings("mean")[1].version.identity


def test_training_does_not_go_on_from_another_declaration(
    make: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A state that was made from other values is no start for a training, and that is logged.
    """
    trained(make(release(continue_training=True)))
    other = make(release(continue_training=True, factor=minor(2.0)))
    with caplog.at_level(logging.WARNING):
        state = trained(other, "two")

    assert (6.0, 1) == (state, caplog.text.count("is trained from a fresh state"))


def test_training_without_a_mark_has_a_version_of_its_own(make: MakeApp) -> None:
    """
    An op that trains need not mark itself: two trainings never share a version.
    """
    app = make(release())
    for job in ("one", "two"):
        app.train("train", job_id=job)

    assert 2 == len({saving.version for saving in app.store.savings("mean") if saving.job_id})


# -- another release


def test_new_release_leaves_the_models_of_the_older_one(make: MakeApp) -> None:
    """
    A release with another major version has no model until it trains one; the older
    release serves on, whichever of the two loads.
    """
    old = make(release())
    trained(old)
    new = make(release(kind=major("other"), factor=minor(5.0)))
    with pytest.raises(NeverTrained, match="run `chariots call train"):
        new.loaded.load("predict")
    before = generations(new)
    served = trained(new, "new"), old.call("predict", [0.0])

    assert (2, 2, False) == before
    assert (15.0, 3.0) == served
    assert [(3, 3, True), (2, 3, True)] == [generations(app) for app in (new, old)]
    assert "has no model for the code of op 'mean'" in str(old.loaded.get("predict").behind)


def test_new_release_that_trained_first(make: MakeApp) -> None:
    """
    A release that trained before it loads takes no model from the older one either.
    """
    old, new = make(release()), make(release(kind=major("other")))
    trained(old)
    new.train("train", job_id="new")
    again = trained(old, "again")
    new.loaded.load("predict")

    assert (3.0, 3.0, 3.0) == (again, old.call("predict", [0.0]), new.call("predict", [0.0]))


def test_rolled_back_release_has_its_newest_models(make: MakeApp) -> None:
    """
    A process of the older release that starts after the newer one was loaded serves the
    newest set of its own code.
    """
    trained(make(release()))
    trained(make(release(kind=major("other"))), "new")
    back = make(release())

    assert ((2, 3, True), 3.0) == (generations(back), back.call("predict", [0.0]))


def test_load_that_changes_nothing(make: MakeApp) -> None:
    """
    Loading what serves makes no new generation, in any process.
    """
    app, other = make(release()), make(release())
    trained(app)
    for each in (app, other, app):
        each.loaded.load("predict")

    assert [(2, 2, True)] * 2 == [generations(each) for each in (app, other)]


def test_what_another_process_would_serve(make: MakeApp) -> None:
    """
    A process that has opened nothing knows which generations it would serve; 0 is none.
    """
    old = make(release())
    trained(old)
    new = make(release(kind=major("other")))

    assert [{"train": 1, "predict": 2}, {"train": 1, "predict": 0}] == [
        dict(app.loaded.serving()[1]) for app in (make(release()), new)
    ]


def test_releases_have_codes_of_their_own(make: MakeApp) -> None:
    """
    The code that a job belongs to changes with any versioned field of any of its ops; a
    pipeline without state belongs to no code.
    """

    class Doubled(Numbers):
        name = "numbers"
        factor = minor(2.0)

    first, same, other = (
        make(each).loaded.code for each in (release(), release(), release(factor=minor(2.0)))
    )
    behind_other = Pipeline(
        [Node(Doubled(), output_nodes="x"), Node(Mean(fits=True), ["x"], OUTPUT)], "train"
    )
    plain = Pipeline([Node(Numbers(), output_nodes=OUTPUT)], "plain")

    assert (first, {"train", "predict"}) == (same, set(first))
    assert not set(first.values()) & set(other.values())
    assert first["train"] != make([behind_other, plain]).loaded.code["train"]
    assert "plain" not in make([plain]).loaded.code


# -- changed declarations


def test_changed_values_are_served_with_a_warning(
    make: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A model that was made from other values serves, and the log and the snapshot say so.
    """
    trained(make(release()))
    with caplog.at_level(logging.WARNING):
        loaded = make(release(factor=minor(500.0))).loaded.get("predict")

    assert (True, 1) == (loaded.is_loaded, len(loaded.warnings))
    assert "factor was 1.0, and is 500.0 in the code" in loaded.warnings[0]
    assert loaded.warnings[0] in caplog.text


def test_value_that_was_not_set(make: MakeApp) -> None:
    """
    A parameter that only one of the two declarations sets is called "not set" in the other.
    """
    bare: dict[str, Any] = {"declaration": lambda _: {"class": "float", "parameters": {}}}
    trained(make(release(**bare)))
    (warning,) = make(release(factor=minor(2.0))).loaded.get("predict").warnings

    assert warning.endswith("factor was not set, and is 2.0 in the code")


def test_changed_values_are_refused_by_policy(make: MakeApp) -> None:
    """
    With the policy ``refuse``, a model that was made from other values is not served, and
    a training ends that.
    """
    first = make(release())
    trained(first)
    app = make(release(factor=minor(500.0)))
    app.loaded = LoadedPipelines(app.pipelines.values(), app.store, freshness=0.0, policy="refuse")
    with pytest.raises(ModelOutdated, match=r"factor was 1.0.*run `chariots call train"):
        app.call("predict", [0.0])

    assert 1500.0 == trained(app, "again")


def test_versioned_field_that_is_in_no_declaration(make: MakeApp) -> None:
    """
    A change of a versioned field below MAJOR is seen also where the op declares nothing.
    """
    silent: dict[str, Any] = {"declaration": lambda self: {}}
    trained(make(release(**silent)))
    loaded = make(release(**silent, factor=minor(2.0))).loaded.get("predict")

    assert ["MINOR"] == [
        level for level in ("MINOR", "PATCH") if f"of type {level}" in " ".join(loaded.warnings)
    ]


def test_each_release_loads_the_models_of_its_own_values(make: MakeApp) -> None:
    """
    Where two releases differ below MAJOR, a load picks the newest model of the values
    that the code declares, in every process of that release, and not a newer one of the
    other release.
    """
    old, new = make(release()), make(release(factor=minor(5.0)))
    trained(old)
    trained(new, "new")
    old.train("train", job_id="again")
    for app in (new, old, new):
        app.loaded.load("predict")
    beside = make(release(factor=minor(5.0)))

    assert (15.0, 3.0, 15.0) == tuple(app.call("predict", [0.0]) for app in (new, old, beside))


def test_model_of_another_class_is_not_in_the_way(make: MakeApp) -> None:
    """
    A newer model of another class, by the older release, does not keep the newer release
    from loading its own.
    """
    old, new = make(release()), make(release(made_of="Decimal", factor=minor(5.0)))
    trained(old)
    trained(new, "new")
    old.train("train", job_id="again")
    new.loaded.load("predict")

    assert 15.0 == new.call("predict", [0.0])


def test_process_that_opened_nothing_knows_about_changed_values(make: MakeApp) -> None:
    """
    What a process would serve takes changed versioned fields into account, without a
    declaration: no model is built for that.
    """

    def refuse(_self: object) -> Mapping[str, Any]:
        raise AssertionError("a declaration was asked for")

    old = make(release())
    trained(old)
    trained(make(release(factor=minor(5.0))), "new")
    idle = make(release(declaration=refuse))

    assert {"train": 1, "predict": 2} == dict(idle.loaded.serving()[1])


def test_another_class_is_refused(make: MakeApp) -> None:
    """
    A model of another class than the code declares is not served, whatever the policy; the
    older code serves on after the new one was trained and loaded.
    """
    old = make(release())
    trained(old)
    new = make(release(made_of="Decimal"))
    with pytest.raises(ModelOutdated, match=r"it is a float, and the code declares a Decimal"):
        new.call("predict", [0.0])
    trained(new, "new")

    assert [(3, 3, True), (2, 3, True)] == [generations(app) for app in (new, old)]


# -- names and classes


def test_name_of_another_class(make: MakeApp) -> None:
    """
    An app whose op has the name of another app's op does not start; the error names both
    classes and the remedies, and the other app is not disturbed.
    """
    first = make(release("shop"))
    trained(first)
    with pytest.raises(OpNameConflict) as caught:
        make(release("store")).loaded.open()

    assert all(
        text in str(caught.value)
        for text in (
            "store:Mean",
            "shop:Mean",
            "chariots ops adopt mean --app",
            "name = 'store_mean'",
            "CHARIOTS_OP_STORE",
        )
    )
    assert 3.0 == first.call("predict", [0.0])


def test_name_that_is_given_may_be_shared(make: MakeApp) -> None:
    """
    Two classes whose author gave them one name share its state on purpose.
    """
    trained(make(release("shop", name="model")))

    assert 3.0 == make(release("store", name="model")).call("predict", [0.0])


def test_name_that_is_given_to_one_of_two_modules(make: MakeApp) -> None:
    """
    A class whose author gives it the name that a class of another module has by itself
    does not take over its models; a class of the same module, such as a renamed one, does.
    """
    trained(make(release("shop")))
    with pytest.raises(OpNameConflict, match="bank:Mean has the name of another op"):
        make(release("bank", name="mean")).loaded.open()

    assert 3.0 == make(release("shop", name="mean")).call("predict", [0.0])


def test_moved_class_is_adopted(make: MakeApp) -> None:
    """
    After a class moved, its models are found by an adoption, and serve once loaded. Their
    links and their training go with them.
    """
    trained(make(release("shop", kind=major("shop"))))
    app = make(release("proj.shop", kind=major("proj.shop")))
    versions = app.loaded.adopt()
    app.loaded.load("predict")

    assert (["mean"], 3.0) == (list(versions), app.call("predict", [0.0]))
    assert {} == app.loaded.adopt()


def test_moved_class_with_a_given_name_is_told(make: MakeApp) -> None:
    """
    Where the author gave the name, the refusal of a moved op says which versions of which
    class there are, and how to adopt them.
    """
    trained(make(release("shop", name="model", kind=major("shop"))))
    app = make(release("proj.shop", name="model", kind=major("proj.shop")))
    with pytest.raises(NeverTrained, match=r"1 trained version of shop:Mean.*ops adopt model"):
        app.loaded.load("predict")
    app.loaded.adopt(["model"])
    app.loaded.load("predict")

    assert 3.0 == app.call("predict", [0.0])


def test_nothing_to_adopt(make: MakeApp) -> None:
    """
    An op that the app or the store does not have is an error that names it.
    """
    app = make(release())
    app.loaded.open()

    with pytest.raises(OpVersionNotFound, match="no op with state of the name 'x'"):
        app.loaded.adopt(["x"])
    with pytest.raises(OpVersionNotFound, match="no trained state of op 'mean'"):
        app.loaded.adopt(["mean"])


# -- one training at a time


def test_trainings_of_one_op_wait_for_each_other_over_processes(make: MakeApp) -> None:
    """
    While one process trains an op, another one is refused after its time-out, and told who
    trains; after the training it may.
    """
    app, other = make(release()), make(release())
    with (
        app.loaded.training("train"),
        pytest.raises(TrainingInProgress, match=r"op 'mean' by 'process \d+ of"),
        other.loaded.training("train", timeout=0.2),
    ):
        pass

    assert 3.0 == other.call("train")


def test_refused_training_leaves_no_lease(make: MakeApp) -> None:
    """
    A training that cannot begin gives its lease back.
    """

    class Unsaveable(Mean):
        def check_saveable(self) -> None:
            raise ValueError("a lambda")

    app = make(release(base=Unsaveable))
    for _ in range(2):
        with pytest.raises(OpStoreError, match="is not trained, since its state"):
            app.train("train", job_id="job")
    with make(release()).loaded.training("train", timeout=0.0):
        pass
