"""
What ops are, and how they are copied and restored.
"""

from __future__ import annotations

import threading
import timeit
from collections.abc import Callable
from typing import Any

import pytest

from chariots_core.errors import PipelineError
from chariots_core.pipelines import (
    LoadableOp,
    OpCallBack,
)
from chariots_core.versioning import Version, VersionType, version_of
from tests.support import wait_until
from tests.unit.pipelines.ops_for_tests import (
    AddOne,
    Counter,
    Fit,
    IsOdd,
    next_is_odd,
)

IN, OUT = "__pipeline_input__", "__pipeline_output__"


def test_copies_share_no_state() -> None:
    """
    A copy has the state and version of its original, and changes without it.
    """
    counter = Counter()
    counter.restore(b"3", Version(major="ab"))

    twin = counter.copy()
    twin.execute()

    assert (4, 3) == (twin.count, counter.count)
    assert counter.op_version == twin.op_version


def test_copies_share_callbacks() -> None:
    """
    Callbacks may hold what cannot be copied: a copy calls the same ones.
    """
    callback = OpCallBack()

    class Watched(Counter):
        def __init__(self) -> None:
            super().__init__()
            self.op_callbacks = (callback,)

    assert Watched().copy().op_callbacks[0] is callback


def test_ops_that_cannot_be_copied_say_so() -> None:
    """
    An op that holds a lock is refused by name, with what to override.
    """

    class Locked(Counter):
        def __init__(self) -> None:
            super().__init__()
            self.lock = threading.Lock()

    with pytest.raises(PipelineError, match=r"op 'locked' cannot be copied .*override copy\(\) of"):
        Locked().copy()


def test_restored_ops_have_the_restored_version() -> None:
    """
    Restoring loads the bytes and takes over their version; loading alone keeps the code's.
    """
    version = Version(major="ab")
    restored, loaded = Counter(), Counter()
    restored.restore(b"3", version)
    loaded.load(b"3")

    assert (3, version) == (restored.count, restored.op_version)
    assert version_of(Counter) == loaded.op_version


def test_a_failed_restore_keeps_the_version() -> None:
    """
    Bytes that cannot be loaded do not give the op their version.
    """
    counter = Counter()

    with pytest.raises(ValueError, match="invalid literal"):
        counter.restore(b"x", Version(major="ab"))

    assert version_of(Counter) == counter.op_version


def test_facts_about_ops() -> None:
    """
    An op is called as its class in lower case, and trains nothing unless it says so.
    """
    assert ("addone", False, False) == (
        AddOne().name,
        AddOne().trains,
        AddOne().allow_version_change,
    )
    assert (True, True) == (Fit().trains, Fit().allow_version_change)
    assert ("custom", "<AddOne 'addone'>") == (Counter().serializer, repr(AddOne()))
    assert isinstance(Counter(), LoadableOp)


def test_a_run_costs_little() -> None:
    """
    Two nodes cost a few microseconds more than the two calls that they make.
    """
    add, odd = AddOne(), IsOdd()
    pipeline = next_is_odd()
    rounds = 2000

    def measure(work: Callable[[], Any]) -> float:
        return min(timeit.repeat(work, number=rounds, repeat=15)) / rounds

    def attempt() -> bool:
        plain = measure(lambda: odd.execute(add.execute(4)))
        return measure(lambda: pipeline.run(4)) - plain < 10e-6

    # a busy machine may spoil one measurement, but not all of them
    wait_until(attempt, timeout=30, message="a run costs more than ten microseconds")


def test_ops_that_learn_mark_it() -> None:
    """
    Marking an op as trained gives it a version of its own in the digest that is named.
    """
    one, other = Counter(), Counter()
    one.mark_trained()
    other.mark_trained(VersionType.MINOR)
    first = one.op_version
    one.mark_trained()

    code = version_of(Counter)
    assert (code.major, code.minor) == (first.major, first.minor)
    assert code.minor != other.op_version.minor
    assert 4 == len({code, first, one.op_version, other.op_version})
    assert one.op_version > code
