"""
Ops that tests of pipelines build graphs of.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from chariots_core.pipelines import BaseOp, LoadableOp, Node, Pipeline
from chariots_core.versioning import VersionedField, VersionType


class AddOne(BaseOp):
    step = VersionedField(1, VersionType.MINOR)

    def execute(self, number: int) -> int:
        return number + self.step


class IsOdd(BaseOp):
    def execute(self, number: int) -> bool:
        return number % 2 == 1


class Call(BaseOp):
    """
    Executes a function; its name is given, so that many fit in one pipeline.
    """

    def __init__(self, function: Callable[..., Any], name: str = "call") -> None:
        super().__init__()
        self._function = function
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def execute(self, *inputs: Any) -> Any:
        return self._function(*inputs)


class Counter(LoadableOp):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._lock = CopyableLock()

    def execute(self) -> int:
        with self._lock.lock:
            self.count += 1
            return self.count

    def serialize(self) -> bytes:
        return str(self.count).encode()

    def load(self, serialized_object: bytes) -> None:
        self.count = int(serialized_object)


class CopyableLock:
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> CopyableLock:
        return CopyableLock()


class Store:
    """
    Gives what it is told to give.
    """

    def __init__(self, ops: Mapping[str, BaseOp]) -> None:
        self.ops = ops
        self.saved: list[Mapping[str, BaseOp]] = []

    def load_pipeline(self, pipeline: Pipeline) -> Mapping[str, BaseOp]:
        return self.ops

    def save_pipeline(self, pipeline: Pipeline) -> None:
        self.saved.append(pipeline.ops)


class Fit(BaseOp):
    """
    Claims to train.
    """

    @property
    def trains(self) -> bool:
        return True

    def execute(self, *inputs: Any) -> None:
        return None


def call(function: Callable[..., Any], name: str, inputs: Any = None, outputs: Any = None) -> Node:
    """
    A node called *name* that calls *function*.
    """
    return Node(Call(function, name), inputs, outputs)


def next_is_odd(name: str = "next_is_odd", **options: Any) -> Pipeline:
    """
    The pipeline that says whether the next number is odd.
    """
    return Pipeline(
        [
            Node(AddOne(), ["__pipeline_input__"], "one_more"),
            Node(IsOdd(), ["one_more"], "__pipeline_output__"),
        ],
        name,
        **options,
    )


def identity(value: Any) -> Any:
    """
    The value itself.
    """
    return value
