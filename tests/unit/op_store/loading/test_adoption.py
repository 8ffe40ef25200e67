"""
A name of an op stands for one class: two classes that clash, and a class that moved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chariots_core.errors import OpNameConflict
from chariots_core.op_store.adoption import adopt
from chariots_core.op_store.states import Template
from chariots_core.pipelines import Node, Pipeline
from tests.unit.op_store.kit import INPUT, OUTPUT, App, Trainable

MakeApp = Callable[..., App]


class Model(Trainable):
    """
    Keeps the number that it was trained on.
    """

    def execute(self, number: float) -> float:  # type: ignore[override]
        if self.fits:
            self.state = number
        return self.state


def in_module(module: str) -> type[Any]:
    """
    The same class, as another module has it.
    """
    return type("Model", (Model,), {"__module__": module})


def pipelines(module: str, prefix: str = "") -> list[Pipeline]:
    """
    The pipelines of an app whose op is defined in a module.
    """
    model = in_module(module)
    return [
        Pipeline([Node(model(fits=True), [INPUT], OUTPUT)], name=f"{prefix}train"),
        Pipeline([Node(model(), [INPUT], OUTPUT)], name=f"{prefix}predict"),
    ]


def adopted(app: App) -> list[str]:
    """
    Adopt the model for the class of *app*.
    """
    templates = [Template.of(pipeline) for pipeline in app.pipelines.values()]
    return list(adopt(app.store, templates, ["model"]))


def trained(make: MakeApp) -> App:
    """
    An app of the old module that serves the number 1.
    """
    app = make(pipelines("shop"))
    app.train("train", 1, job_id="first")
    app.loaded.load("predict")
    return app


@pytest.mark.parametrize("prefix", ["", "bank_"], ids=["same pipelines", "own pipelines"])
def test_another_class_is_refused(make: MakeApp, prefix: str) -> None:
    """
    An app whose op has the name of another class does not start, and the other app goes on.
    """
    shop = trained(make)
    with pytest.raises(OpNameConflict) as caught:
        make(pipelines("bank", prefix)).loaded.open()

    message = str(caught.value)
    assert "1 trained version of shop:Model" in message
    assert "class bank:Model" in message
    assert "name = 'bank_model'" in message
    assert 1 == shop.call("predict", 0)


def test_an_adopted_model_serves_both_classes(make: MakeApp) -> None:
    """
    After an adoption the new class serves the old model, and so do processes of the old class,
    also those that start later.
    """
    old = trained(make)
    new = make(pipelines("proj.shop"))

    assert ["model"] == adopted(new)
    new.loaded.load("predict")
    assert [1, 1, 1] == [app.call("predict", 0) for app in (new, old, make(pipelines("shop")))]


def test_a_late_training_of_the_old_class(make: MakeApp) -> None:
    """
    A training of the old class that is published after the adoption does not keep the new class
    from starting.
    """
    old = trained(make)
    new = make(pipelines("proj.shop"))
    adopted(new)
    new.loaded.load("predict")
    old.train("train", 2, job_id="late")

    assert 1 == make(pipelines("proj.shop")).call("predict", 0)
    new.loaded.load("predict")
    assert 2 == new.call("predict", 0)
