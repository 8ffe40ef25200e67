"""
The five states and the moves between them.
"""

from __future__ import annotations

import itertools

import pytest

from chariots_core.errors import InvalidTransition
from chariots_core.jobs.status import TRANSITIONS, JobStatus, check_transition

#: Written down a second time, as a reader of the guide would.
ALLOWED = {
    (None, "queued"),
    (None, "deferred"),
    ("deferred", "queued"),
    ("deferred", "failed"),
    ("queued", "running"),
    ("queued", "failed"),
    ("running", "done"),
    ("running", "failed"),
    ("running", "queued"),
    ("running", "deferred"),
}
MOVES = list(itertools.product((None, *JobStatus), JobStatus))


@pytest.mark.parametrize(("before", "after"), MOVES, ids=str)
def test_every_move(before: JobStatus | None, after: JobStatus) -> None:
    """
    A move is made if the table has it, and otherwise refused by its name.
    """
    if ((before.value if before else None), after.value) in ALLOWED:
        check_transition(before, after, job_id="j")
        return
    with pytest.raises(InvalidTransition, match=f"'j'.*to {after.value}") as caught:
        check_transition(before, after, job_id="j")
    assert "j" == caught.value.job_id


def test_table_is_total() -> None:
    """
    The table knows every state, and the beginning.
    """
    assert {None, *JobStatus} == set(TRANSITIONS)


@pytest.mark.parametrize("status", JobStatus)
def test_final_states(status: JobStatus) -> None:
    """
    Exactly the states that nothing follows are final.
    """
    assert status.is_final is (not TRANSITIONS[status])


def test_printing() -> None:
    """
    A state prints as the guide shows it, and reads as its name on the wire.
    """
    assert ["JobStatus.queued", "queued"] == [str(JobStatus.queued), JobStatus.queued.value]


def test_names() -> None:
    """
    The five states are closed.
    """
    assert ["queued", "running", "done", "failed", "deferred"] == [s.name for s in JobStatus]
