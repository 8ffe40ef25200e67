"""
What is broken, and what goes on beside it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from chariots_core.errors import (
    ArtifactCorrupt,
    ConfigurationError,
    OpStoreError,
    PipelineError,
    PipelineNotFound,
    StoreUnavailable,
    UntrustedArtifact,
)
from chariots_core.op_store.blobs import blob_path
from chariots_core.op_store.savers import FileSaver
from chariots_core.op_store.sql_store import LocalOpStoreClient
from chariots_core.pipelines import Node, Pipeline
from tests.unit.op_store.conftest import Place
from tests.unit.op_store.kit import (
    OUTPUT,
    App,
    Centre,
    Counter,
    Marked,
    count,
    predict,
    train_all,
)

MakeApp = Callable[..., App]


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
def _flaky(sqlite_place: Place) -> Iterable[Flaky]:
    flaky = Flaky(sqlite_place.url, FileSaver(sqlite_place.folder))
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
    train_all(app)
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


@pytest.mark.parametrize("use", ["get", "load", "save", "is_loaded", "versions", "training"])
def test_unknown_pipeline_is_named(app: App, use: str) -> None:
    """
    A pipeline that the app does not have is an error that lists those it has.
    """
    with pytest.raises(PipelineNotFound, match=r"no pipeline 'x'.*'count', 'predict'"):
        getattr(app.loaded, use)("x")
