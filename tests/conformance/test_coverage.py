"""
Every numbered behaviour has a test in the kit, or a sentence on why it has none.
"""

from __future__ import annotations

from chariots_core.testing.conformance import WorkerPoolConformance
from chariots_core.testing.conformance.behaviours import (
    NOT_IN_THE_KIT,
    SHOWN_BY,
    TITLES,
    number_of,
    offered_by,
)
from chariots_core.workers import capabilities


def test_every_number_is_tested_or_explained() -> None:
    """
    Each of the 71 behaviours has a test in the kit, or a sentence on why it has none.
    """
    tested = {number_of(name) for name in offered_by(WorkerPoolConformance)}

    assert list(range(1, 72)) == sorted(TITLES)
    assert set(TITLES) == tested | set(NOT_IN_THE_KIT)
    assert set() == tested & set(NOT_IN_THE_KIT)


def test_every_core_capability_is_shown_by_a_test() -> None:
    """
    What core provides for every pool has a test; so has each capability that is named.
    """
    tested = {number_of(name) for name in offered_by(WorkerPoolConformance)}

    assert set(SHOWN_BY) <= {*capabilities.FLAGS, "isolation"}
    assert set(SHOWN_BY.values()) <= tested
    assert set(capabilities.CORE_CAPABILITIES.names()) <= set(SHOWN_BY)
