"""
A new release of the code on the store of the old one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chariots_core.errors import (
    VersionError,
)
from chariots_core.op_store import loaded
from chariots_core.pipelines import Node, Pipeline
from chariots_core.versioning import VersionedField, VersionType
from tests.unit.op_store.kit import (
    INPUT,
    OUTPUT,
    App,
    Centre,
    Rounded,
    Scale,
    count,
    predict,
    recoded,
    texts,
    train_all,
    train_centre,
    train_scale,
)

MakeApp = Callable[..., App]


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


def test_each_refused_call_has_an_error_of_its_own(app: App, make: MakeApp) -> None:
    """
    Calls at the same time do not write their tracebacks on one object.
    """
    app.loaded.open()
    changed = make([predict(rounded(1))])
    errors: list[VersionError] = []
    for _ in range(2):
        with pytest.raises(VersionError) as caught:
            changed.call("predict", [2.0])
        errors.append(caught.value)

    assert errors[0] is not errors[1]
    assert (errors[0].blockers, errors[0].message) == (errors[1].blockers, errors[1].message)


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
    blocks its pipelines until it was trained; the stateless ops beside it fit.
    """
    train_all(app)
    app.loaded.load("predict")
    newer = recoded(Scale, kind=VersionedField("other", VersionType.MAJOR))
    changed = make([train_centre(), train_scale(newer), predict(scale=newer)])
    fresh = changed.loaded.get("predict")
    scale = fresh.ops["scale"]
    assert isinstance(scale, Scale)
    trained = changed.train("train_scale", job_id="new")
    untrained = (
        app.store.savings("scale", version=scale.op_version),
        changed.loaded.is_loaded("predict"),
    )
    changed.loaded.load("predict")

    assert ([], False) == untrained
    assert (0.0, fresh.error is not None, 46.0) == (scale.state, True, trained[0])
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


def test_old_release_outlives_many_sets_of_a_new_one(
    app: App, make: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    However often the newer code is trained and loaded, the older one goes on, also after a restart.
    """
    monkeypatch.setattr(loaded, "_SETS_TRIED", 3)
    train_all(app)
    app.loaded.load("predict")
    newer = recoded(Scale, kind=VersionedField("other", VersionType.MAJOR))
    changed = make([train_centre(), train_scale(newer), predict(scale=newer)])
    for number in range(5):
        changed.train("train_scale", job_id=f"new-{number}")
        changed.loaded.load("predict")

    assert [[47.0]] * 2 == [each.call("predict", [2.0]) for each in (app, make())]


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
