"""
Small ops and pipelines that the tests of app, server and clients share.

It is imported by name in processes of the tests' own, so it is a module like
those of a user.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, TypeVar

from chariots_core.app import App
from chariots_core.pipelines import BaseOp, LoadableOp, Node, Pipeline
from chariots_core.progress import report
from chariots_core.server import PipelinesServer
from chariots_core.testing import TestOpStoreClient

Closeable = TypeVar("Closeable", App, PipelinesServer)

IN, OUT = "__pipeline_input__", "__pipeline_output__"


class AddOne(BaseOp):
    """
    A number to the next one.
    """

    def execute(self, number: int) -> int:
        return number + 1


class IsOdd(BaseOp):
    """
    Whether a number is odd.
    """

    def execute(self, number: int) -> bool:
        return bool(number % 2)


class Echo(BaseOp):
    """
    What goes in comes out.
    """

    def execute(self, value: Any) -> Any:
        return value


class Give(BaseOp):
    """
    Something that JSON cannot carry, or leaves the process, by the word that is given.
    """

    def execute(self, word: str) -> Any:
        if word == "exit":
            raise SystemExit(3)
        if word == "interrupt":
            raise KeyboardInterrupt
        if word == "secret":
            raise ValueError("the input was rejected")
        return {"nan": float("nan"), "set": {1}, "bytes": b"x", "none": None}[word]


class Constant(BaseOp):
    """
    Takes nothing.
    """

    def execute(self) -> int:
        return 42


class Who(BaseOp):
    """
    The process that runs it, after a while.
    """

    def execute(self, seconds: float) -> int:
        time.sleep(seconds)
        return os.getpid()


class Mark(BaseOp):
    """
    Leaves a file as it begins, and takes a while.
    """

    def execute(self, path: str, seconds: float = 1.5) -> int:
        Path(path).touch()
        time.sleep(seconds)
        return os.getpid()


class MarkLong(Mark):
    """
    The same, for as long as it is told.
    """

    def execute(self, path_and_seconds: tuple[str, float]) -> int:  # type: ignore[override]
        return super().execute(*path_and_seconds)


class Steps(BaseOp):
    """
    Tells how far it is, as often as it is told to.
    """

    def execute(self, steps: int) -> int:
        for step in range(1, steps + 1):
            report(step, steps, "counting")
            time.sleep(0.3)
        return steps


class Model(LoadableOp):
    """
    Keeps a number.
    """

    learned: float = 0.0

    def execute(self, value: float) -> float:
        return value * self.learned

    def serialize(self) -> bytes:
        return repr(self.learned).encode()

    def load(self, serialized_object: bytes) -> None:
        self.learned = float(serialized_object)


class Learn(Model):
    """
    The same model, which learns the number that it is given.
    """

    @property
    def name(self) -> str:
        return "model"

    @property
    def trains(self) -> bool:
        return True

    def execute(self, value: float) -> float:
        self.learned = value
        self.mark_trained()
        return self.learned


def pipelines() -> list[Pipeline]:
    """
    New pipelines, with new ops.
    """
    return [
        Pipeline(
            [Node(AddOne(), [IN], ["added_number"]), Node(IsOdd(), ["added_number"], [OUT])],
            "is_odd",
        ),
        *(
            Pipeline([Node(op, [IN], OUT)], name)
            for op, name in (
                (Echo(), "echo"),
                (Give(), "give"),
                (Who(), "who"),
                (Mark(), "mark"),
                (MarkLong(), "mark_long"),
                (Steps(), "steps"),
                (Learn(), "train"),
                (Model(), "predict"),
            )
        ),
        Pipeline([Node(Constant(), [], OUT)], "constant"),
    ]


_made: list[App] = []


def track(app: Closeable) -> Closeable:
    """
    *app*, which `close_all` is to close.
    """
    held: App | PipelinesServer = app
    _made.append(held if isinstance(held, App) else held.chariots)
    return app


def close_all() -> None:
    """
    Close every app that was tracked.
    """
    while _made:
        _made.pop().close()


def make_server(folder: str | Path, **options: Any) -> PipelinesServer:
    """
    A server of all of them, with its stores in *folder*.
    """
    options.setdefault("import_name", "tests_app")
    if options.get("worker_pool") == "local":
        options["worker_pool"] = {"backend": "local", "url": f"sqlite:///{folder}/jobs.db"}
    return track(PipelinesServer(pipelines(), TestOpStoreClient(folder), **options))
