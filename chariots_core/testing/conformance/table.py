"""
Reports of the kit as one table, in Markdown: behaviours beside backends.

Run as ``python -m chariots_core.testing.conformance.table FILE... [--into PAGE]``. Each
report is called by the name of its file. The exit code is 1 if a behaviour has failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from chariots_core.testing.conformance.behaviours import TITLES
from chariots_core.testing.conformance.report import Behaviour, Status, SuiteReport, read_report

#: What stands in a cell of the table.
MARKS: Final = {
    Status.passed: "✓",
    Status.failed: "✗",
    Status.not_declared: "-",
    Status.not_run: "○",
}

#: A behaviour that has passed, but for tests that were not declared or not run.
IN_PART: Final = "(✓)"

LEGEND: Final = (
    "✓ passed; (✓) passed, but for tests that a note below names; ✗ failed; "
    "- not declared; ○ not run."
)

#: What a page has where the table begins; all below it is written anew.
MARKER: Final = "<!-- What follows is written by chariots_core.testing.conformance.table. -->"


def load(paths: Sequence[Path]) -> dict[str, SuiteReport]:
    """
    The reports in some files, by the names of the files and, where one has several, of suites.
    """
    found = {}
    for path in paths:
        reports = read_report(path)
        for report in reports:
            suite = report.suite.rpartition("::")[2]
            found[path.stem if len(reports) == 1 else f"{path.stem} {suite}"] = report
    return found


def markdown(reports: Mapping[str, SuiteReport]) -> str:
    """
    The table, its summary and the notes.
    """
    return "\n".join(
        [
            *_summary(reports),
            "",
            LEGEND,
            "",
            *_behaviours(reports),
            *_notes(reports, "Failed", Status.failed),
            *_notes(reports, "Not declared", Status.not_declared),
            *_notes(reports, "Not run", Status.not_run),
            *_unproved(reports),
            "",
        ]
    )


def insert(page: Path, text: str) -> None:
    """
    Write *text* below the marker of a page.

    Raises:
        ValueError: the page has no marker.
    """
    before, marker, _ = page.read_text(encoding="utf-8").partition(MARKER)
    if not marker:
        raise ValueError(
            f"{str(page)!r} has no line {MARKER!r}: add it where the table shall begin"
        )
    page.write_text(f"{before}{marker}\n\n{text}", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Print the table of some reports, and write it into a page if one is named.
    """
    parser = argparse.ArgumentParser(
        prog="python -m chariots_core.testing.conformance.table", description="reports as a table"
    )
    parser.add_argument("reports", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--into", type=Path, metavar="PAGE", help=f"a page with {MARKER!r}")
    given = parser.parse_args(arguments)
    reports = load(given.reports)
    text = markdown(reports)
    sys.stdout.write(text)
    if given.into is not None:
        insert(given.into, text)
    return int(any(report.count(Status.failed) for report in reports.values()))


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _head(*cells: object) -> list[str]:
    return [_row(*cells), f"|{'---|' * len(cells)}"]


def _summary(reports: Mapping[str, SuiteReport]) -> Iterator[str]:
    counted = [status.value for status in Status]
    yield from _head("run", "level", "distribution", "engines", "tests", *counted, "seconds")
    for name, report in reports.items():
        backend = report.backend
        yield _row(
            name,
            report.level,
            f"{backend.get('distribution', '?')} {backend.get('version', '')}".strip(),
            _versions(backend.get("engines", {})),
            _tests_passed(report),
            *(report.count(status) for status in Status),
            round(report.seconds),
        )


def _tests_passed(report: SuiteReport) -> int:
    return sum(test.status is Status.passed for each in report.behaviours for test in each.tests)


def _versions(engines: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in engines.items())


def _behaviours(reports: Mapping[str, SuiteReport]) -> Iterator[str]:
    yield from _head("", "behaviour", *reports)
    for number, title in TITLES.items():
        cells = [_mark(_of(report, number)) for report in reports.values()]
        yield _row(number, title, *cells)


def _of(report: SuiteReport, number: int) -> Behaviour:
    return next(each for each in report.behaviours if each.number == number)


def _mark(behaviour: Behaviour) -> str:
    if behaviour.status is Status.passed and behaviour.reasons:
        return IN_PART
    return MARKS[behaviour.status]


def _notes(reports: Mapping[str, SuiteReport], heading: str, status: Status) -> Iterator[str]:
    """
    Each reason once for each behaviour, with the runs that give it.
    """
    told: dict[tuple[int, str], list[str]] = {}
    for name, report in reports.items():
        for behaviour in report.behaviours:
            for reason in _reasons(behaviour, status):
                told.setdefault((behaviour.number, reason), []).append(name)
    if not told:
        return
    yield from ("", f"## {heading}", "")
    yield from _head("", "behaviour", "reason", "runs")
    for (number, reason), names in sorted(told.items()):
        cells = (number, TITLES[number], reason.replace("|", "\\|"))
        yield _row(*cells, _runs(names, reports))


def _unproved(reports: Mapping[str, SuiteReport]) -> Iterator[str]:
    """
    The capabilities that are declared and that the kit has no test for.
    """
    told: dict[str, list[str]] = {}
    for name, report in reports.items():
        for capability in report.backend.get("unproved", ()):
            told.setdefault(capability, []).append(name)
    if told:
        yield from ("", "## Declared without a test", "")
        yield from _head("capability", "runs")
        yield from (_row(capability, _runs(names, reports)) for capability, names in told.items())


def _runs(names: Sequence[str], reports: Mapping[str, SuiteReport]) -> str:
    return "all" if len(names) == len(reports) else ", ".join(names)


def _reasons(behaviour: Behaviour, status: Status) -> Sequence[str]:
    told = [test.reason for test in behaviour.tests if test.status is status]
    if behaviour.reason and behaviour.status is status:
        told.append(behaviour.reason)
    return tuple(dict.fromkeys(told))


if __name__ == "__main__":
    sys.exit(main())
