"""
What backends declare.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from chariots_core.errors import UnsupportedCapability
from chariots_core.workers import CORE_CAPABILITIES, Capabilities
from chariots_core.workers.capabilities import FLAGS


def test_nothing_is_declared_by_default() -> None:
    """
    A backend can do only what it says.
    """
    assert () == Capabilities().names()
    assert frozenset() == Capabilities().isolation


def test_union() -> None:
    """
    Core's share and a backend's own add up, isolation included.
    """
    both = Capabilities(queues=True, isolation={"fresh"}) | Capabilities(
        retry=True, isolation={"warm"}
    )

    assert Capabilities(queues=True, retry=True, isolation={"fresh", "warm"}) == both


def test_union_knows_every_flag() -> None:
    """
    No capability is lost in a union.
    """
    flags: dict[str, Any] = dict.fromkeys(FLAGS, True)
    everything = Capabilities(**flags)

    assert everything == Capabilities() | everything
    assert set(FLAGS) | {"isolation"} == {field.name for field in attrs.fields(Capabilities)}


def test_unknown_isolation() -> None:
    """
    A way of running jobs that core does not have cannot be declared.
    """
    with pytest.raises(ValueError, match="isolation"):
        Capabilities(isolation={"container"})


def test_declared_is_granted() -> None:
    """
    What is declared may be required.
    """
    CORE_CAPABILITIES.require("retry", backend="demo")


def test_undeclared_is_refused_with_the_way_out() -> None:
    """
    8: the refusal names the backend, the capability, and what to do instead.
    """
    with pytest.raises(UnsupportedCapability, match="priority 0") as caught:
        CORE_CAPABILITIES.require("priorities", backend="demo", job_id="j1")

    error = caught.value
    assert ("demo", "priorities", "j1") == (error.backend, error.capability, error.job_id)
    assert "'demo'" in str(error)


def test_misspelt_capability() -> None:
    """
    A capability that does not exist is a mistake of the code, not of the backend.
    """
    with pytest.raises(AttributeError):
        CORE_CAPABILITIES.require("telepathy", backend="demo")


def test_without() -> None:
    """
    What a backend cannot do is taken off what core provides.
    """
    less = CORE_CAPABILITIES.without("spawn", "retry", "thread")

    assert set(CORE_CAPABILITIES.names()) - {"spawn", "retry"} == set(less.names())
    assert {"warm", "fresh"} == less.isolation
    with pytest.raises(ValueError, match="telepathy"):
        CORE_CAPABILITIES.without("telepathy")


@pytest.mark.parametrize("flag", ["cancel_hard", "timeout_hard"])
def test_nothing_stops_a_thread(flag: str) -> None:
    """
    8: who runs jobs in threads only cannot declare that it stops them.
    """
    with pytest.raises(ValueError, match="thread"):
        Capabilities(isolation={"thread"}, **{flag: True})


def test_isolation_that_is_not_declared() -> None:
    """
    8: a way of running jobs that the backend does not have is refused with those it has.
    """
    with pytest.raises(UnsupportedCapability, match=r"\['warm'\]") as caught:
        CORE_CAPABILITIES.without("fresh", "thread").require_isolation("thread", backend="demo")

    assert ("demo", "isolation") == (caught.value.backend, caught.value.capability)
