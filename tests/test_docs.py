"""
What the documentation lists is what the code has.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chariots_core.cli.main import COMMANDS
from chariots_core.jobs.status import TRANSITIONS, JobStatus, Reason
from chariots_core.server import PipelinesServer, problems
from tests.support import ROOT

SOURCES = ["chariots_core", "chariots", "plugins/chariots_ml/src"]


def page(name: str) -> str:
    """
    The text of a page.
    """
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def table_rows(name: str, heading: str | None = None) -> list[list[str]]:
    """
    The cells of the tables of a page, or of one section of it, without their heads.
    """
    text = page(name)
    if heading is not None:
        text = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("|---"):
            rows.pop()
        elif line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def code_in(cell: str) -> set[str]:
    """
    What a cell shows as code.
    """
    return set(re.findall(r"`([^`]+)`", cell))


def test_reference_lists_every_transition() -> None:
    """
    The table of states shows each state and all that may follow it.
    """
    rows = table_rows("reference/jobs.md", "States")
    shown = {name.strip("`"): code_in(after) for name, _, after in rows}
    real = {status.value: {after.value for after in TRANSITIONS[status]} for status in JobStatus}

    assert real == shown


def test_reference_lists_every_reason() -> None:
    """
    The table of reasons has a line for each reason that the core gives.
    """
    shown = {name.strip("`") for name, *_ in table_rows("reference/jobs.md", "Reasons")}
    real = {value for name, value in vars(Reason).items() if name.isupper()}

    assert real == shown


def test_reference_lists_every_route() -> None:
    """
    The tables of HTTP have a line for each route of the server, and no other.
    """
    shown = {
        (row[0].split()[0], path)
        for row in table_rows("reference/http.md")
        if row[0].startswith(("DELETE ", "GET ", "PATCH ", "POST ", "PUT "))
        for path in code_in(row[0])
    }
    real = {
        (method, rule.rule)
        for rule in PipelinesServer([], import_name="docs").url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "static"
    }

    assert real == shown


def test_reference_lists_every_problem() -> None:
    """
    The table of problems has a line for each name that the server's errors have.
    """
    source = Path(problems.__file__).read_text(encoding="utf-8")
    real = {slug for _, slug, _, _ in problems._TABLE} | set(re.findall(r'slug="([^"]+)"', source))
    shown = {row[0].strip("`") for row in table_rows("reference/problems.md", "Of requests")}

    assert real | {"payload-too-large"} == shown


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/tutorials/first-model.md",
        "docs/how-to/run-on-workers.md",
    ],
)
def test_the_command_is_found(path: str) -> None:
    """
    Where a reader first needs what ``make`` has installed, it says how it is found.
    """
    venv = re.search(r"^VENV := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert venv is not None

    assert f"`source {venv[1]}/bin/activate`" in (ROOT / path).read_text(encoding="utf-8")


def test_reference_lists_every_command() -> None:
    """
    The table of commands has a line for each command.
    """
    shown = {
        text.split()[1]
        for row in table_rows("reference/commands.md")
        for text in code_in(row[0])
        if text.startswith("chariots ")
    }

    assert set(COMMANDS) == shown


def test_reference_lists_every_setting_of_the_environment() -> None:
    """
    Each variable that the code names is explained, and no other.
    """
    files = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    real = {
        name
        for path in files
        if "conformance" not in path.parts
        for name in re.findall(r"CHARIOTS_[A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))
    }
    shown = {row[0].strip("`") for row in table_rows("reference/commands.md", "Environment")}

    assert real == shown
