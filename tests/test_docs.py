"""
What the documentation lists is what the code has.
"""

from __future__ import annotations

import re

from chariots_core.jobs.status import TRANSITIONS, JobStatus, Reason
from tests.support import ROOT


def table_rows(page: str, heading: str) -> list[list[str]]:
    """
    The cells of the first table under a heading, without its head.
    """
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names_in(cell: str) -> set[str]:
    """
    The names that a cell shows as code.
    """
    return set(re.findall(r"`([^`]+)`", cell))


def test_reference_lists_every_transition() -> None:
    """
    The table of states shows each state and all that may follow it.
    """
    shown = {
        name.strip("`"): names_in(after)
        for name, _, after in table_rows("reference/jobs.md", "States")
    }
    real = {status.value: {after.value for after in TRANSITIONS[status]} for status in JobStatus}

    assert real == shown


def test_reference_lists_every_reason() -> None:
    """
    The table of reasons has a line for each reason that the core gives.
    """
    shown = {name.strip("`") for name, *_ in table_rows("reference/jobs.md", "Reasons")}
    real = {value for name, value in vars(Reason).items() if name.isupper()}

    assert real == shown
