"""
Two classes of one name in one store: two apps by accident, and a class that moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest

from tests.web.releases import Release, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


SHOP = Template('''
from sklearn.linear_model import LinearRegression

from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.server import PipelinesServer
from chariots_ml import MLMode
from chariots_ml.sklearn import SKSupervisedOp

INPUT, OUTPUT = "__pipeline_input__", "__pipeline_output__"


class Rows(BaseOp):
    """One row, and the target that comes in."""

    def execute(self, target):
        return [[1.0]], [target]


class Model(SKSupervisedOp):
    """A model."""

    model_class = LinearRegression
    $name


app = PipelinesServer(
    [
        Pipeline(
            [Node(Rows(), [INPUT], ["X", "y"]), Node(Model(MLMode.FIT), ["X", "y"])],
            name="${app}_train",
        ),
        Pipeline([Node(Model(MLMode.PREDICT), [INPUT], OUTPUT)], name="${app}_predict"),
    ],
    import_name="$app",
)
''')


def code(app: str, name: str = "") -> str:
    """
    The module of an app, whose op has a *name* of its own.
    """
    return SHOP.substitute(app=app, name=name and f"name = {name!r}")


@pytest.fixture(name="release")
def _release(tmp_path: Path) -> Iterator[Release]:
    release = Release(
        tmp_path / "code", tmp_path, {"shop.py": code("shop"), "bank.py": code("bank")}
    )
    yield release
    release.close()


def train(server: Server, app: str, target: float) -> None:
    """
    Train, save and load the model of an app.
    """
    assert 200 == server.run(f"{app}_train", target).status_code
    assert 201 == server.save(f"{app}_train").status_code
    assert 200 == server.load(f"{app}_predict").status_code


def test_the_second_app_is_refused(release: Release) -> None:
    """
    A server whose op has the name of another app's class does not start and names both classes
    and the remedies; with a name of its own it starts, and both apps keep their models.
    """
    shop = release.serve("shop:app")
    train(shop, "shop", 3.0)

    exit_code, output = release.command("serve", "bank:app", "--port=0", "--processes=1").ends()

    assert 0 != exit_code
    for part in (
        "bank:Model",
        "shop:Model",
        "--app bank:app",
        "name = 'bank_model'",
        "CHARIOTS_OP_STORE",
    ):
        assert part in output, (part, output)
    assert "Traceback" not in output

    release.write({"bank.py": code("bank", "bank_model")})
    bank = release.serve("bank:app")
    train(bank, "bank", 5.0)
    assert 200 == shop.load("shop_predict").status_code
    assert ([3.0], [5.0]) == (
        shop.output_of("shop_predict", [[1.0]]),
        bank.output_of("bank_predict", [[1.0]]),
    )


def test_a_moved_class_is_adopted(release: Release) -> None:
    """
    A server of a class that moved to another module does not start and names what there is and
    the command that adopts it; after that its old models serve, and servers of the old module go on.
    """
    old = release.serve("shop:app")
    train(old, "shop", 3.0)
    release.write({"proj/__init__.py": "", "proj/shop.py": code("shop")})

    exit_code, output = release.command(
        "serve", "proj.shop:app", "--port=0", "--processes=1"
    ).ends()

    assert 0 != exit_code
    for part in (
        "the store keeps 1 trained version of shop:Model, the newest ",
        "class proj.shop:Model",
        "chariots ops adopt model --app proj.shop:app",
    ):
        assert part in output, (part, output)

    done = release.command("ops", "adopt", "model", "--app", "proj.shop:app").ends()
    assert 0 == done[0], done
    new = release.serve("proj.shop:app")
    assert 200 == new.load("shop_predict").status_code
    assert 0 == old.stop()
    old = release.serve("shop:app")
    assert ([3.0], [3.0]) == (
        new.output_of("shop_predict", [[1.0]]),
        old.output_of("shop_predict", [[1.0]]),
    )
