"""
Threads and forks.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from chariots_core.errors import TrainingInProgress
from chariots_core.pipelines import Node, Pipeline
from tests.unit.op_store.conftest import Place
from tests.unit.op_store.kit import (
    OUTPUT,
    App,
    Centre,
    Counter,
    Numbers,
    train_centre,
    train_scale,
)

MakeApp = Callable[..., App]


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


def test_first_look_by_many_threads(make_app: MakeApp) -> None:
    """
    A thread that comes while another opens finds the pipelines, not their absence.
    """
    loaded = make_app(freshness=60.0).loaded
    in_threads(8, lambda _: loaded.get("predict"))

    assert loaded.is_loaded("predict")


def test_trainings_of_one_op_follow_one_another(app: App) -> None:
    """
    Trainings at the same time, by jobs or requests, lose nothing of one another.
    """
    app.loaded.open()
    in_threads(
        6, lambda index: app.train("train_centre", job_id=f"j{index}" if index % 2 else None)
    )
    with app.loaded.training("train_centre") as run:
        trained = run.ops["centre"]

    assert isinstance(trained, Centre)
    assert 54.0 == trained.state


def test_waiting_for_trainings_takes_no_longer_than_allowed(app: App) -> None:
    """
    Calls that wait for a training are refused after their timeout, however many wait.
    """
    app.loaded.open()
    app.store.take_lease(["centre"], holder="another", seconds=60.0)
    waited: list[float] = []

    def train(_: int) -> None:
        began = time.monotonic()
        with (
            pytest.raises(TrainingInProgress, match=r"then call again"),
            app.loaded.training("train_centre", timeout=0.5),
        ):
            pass
        waited.append(time.monotonic() - began)

    in_threads(8, train)

    assert 8 == len(waited)
    # one after the other they would take 4 s
    assert max(waited) < 2.5


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
        signal.alarm(20)  # a child that hangs ends by itself
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
