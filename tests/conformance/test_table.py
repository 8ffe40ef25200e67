"""
Reports become one table, in which nothing that was not shown is hidden.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chariots_core.testing.conformance.behaviours import TITLES
from chariots_core.testing.conformance.report import Outcome, Status, make_report, write_report
from chariots_core.testing.conformance.table import MARKER, main
from tests.support import ROOT


def write(path: Path, *outcomes: Outcome) -> Path:
    """
    A report in which some tests of one suite have run.
    """
    backend: dict[str, Any] = {
        "distribution": "mine",
        "version": "1.2",
        "engines": {"rabbit": "4.0"},
    }
    backend["unproved"] = ["batch"]
    report = make_report("t.py::T", level="full", backend=backend, offered={}, outcomes=outcomes)
    write_report(path, [report])
    return path


@pytest.fixture(name="good")
def _good(tmp_path: Path) -> Path:
    """
    A report with a pass, and a pass in part.
    """
    return write(
        tmp_path / "good.json",
        Outcome(test="test_10_a", status=Status.passed, seconds=1.5),
        Outcome(test="test_11_a", status=Status.passed),
        Outcome(test="test_11_b", status=Status.not_declared, reason="oddity"),
    )


@pytest.fixture(name="bad")
def _bad(tmp_path: Path) -> Path:
    """
    A report with a failure and a test that was not run.
    """
    return write(
        tmp_path / "bad.json",
        Outcome(test="test_10_a", status=Status.failed, reason="left | right"),
        Outcome(test="test_11_a", status=Status.not_run, reason="needs a moon"),
    )


def test_runs_stand_side_by_side(good: Path, bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Each behaviour has a row, each run a column, and each reason a note; a failure is exit code 1.
    """
    code = main([str(good), str(bad)])

    lines = capsys.readouterr().out.splitlines()
    assert 1 == code
    assert "| good | full | mine 1.2 | rabbit 4.0 | 2 | 2 | 0 | 4 | 65 | 2 |" in lines
    assert "| 10 | a job waits for the first worker | ✓ | ✗ |" in lines
    assert "| 11 | an unknown id is not found | (✓) | ○ |" in lines
    assert "| 11 | an unknown id is not found | oddity | good |" in lines
    assert "| 11 | an unknown id is not found | needs a moon | bad |" in lines
    assert "| 10 | a job waits for the first worker | left \\| right | bad |" in lines
    assert "| batch | good, bad |" in lines or "| batch | all |" in lines
    assert any(line.startswith("| 59 |") and line.endswith("| all |") for line in lines)


def test_the_table_is_written_into_a_page(good: Path, tmp_path: Path) -> None:
    """
    What stands above the marker stays, what stands below is replaced; no failure is exit code 0.
    """
    page = tmp_path / "page.md"
    page.write_text(f"# Mine\n\n{MARKER}\n\nof last year\n")

    assert 0 == main([str(good), "--into", str(page)])
    once = page.read_text()
    main([str(good), "--into", str(page)])

    assert once == page.read_text()
    assert once.startswith(f"# Mine\n\n{MARKER}\n\n| run |")
    assert "of last year" not in once


def test_a_page_without_the_marker_is_left_alone(good: Path, tmp_path: Path) -> None:
    """
    Nothing is guessed about where a table belongs.
    """
    page = tmp_path / "page.md"
    page.write_text("# Mine\n")

    with pytest.raises(ValueError, match="has no line"):
        main([str(good), "--into", str(page)])
    assert "# Mine\n" == page.read_text()


def test_another_form_is_refused(tmp_path: Path) -> None:
    """
    A file that is no report of this form is refused.
    """
    path = tmp_path / "other.json"
    path.write_text('{"schema": 0}')

    with pytest.raises(ValueError, match="no conformance report"):
        main([str(path)])


def test_the_page_of_the_documentation_is_up_to_date() -> None:
    """
    The page's table has each behaviour by its title, and no run on it has failed.
    """
    page = (ROOT / "docs" / "reference" / "conformance.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.split(MARKER)[1].splitlines()]
    shown = {row[1] for row in rows if len(row) > 4 and row[0].removeprefix("| ").isdigit()}

    assert set(TITLES.values()) == shown
    assert "✗ |" not in page
