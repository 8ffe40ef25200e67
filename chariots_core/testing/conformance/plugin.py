"""
The kit's plugin for pytest: how much of the kit is run, and a report of what it has shown.

It is asked for by name, on the command line or in a configuration::

    pytest -p chariots_core.testing.conformance.plugin --conformance-report build/mine.json

Without it the kit's tests run all the same: all of them, and without a report.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

import pytest

from chariots_core.testing.conformance.behaviours import Level, level_of, number_of, offered_by
from chariots_core.testing.conformance.report import (
    NOT_DECLARED,
    Outcome,
    Status,
    SuiteReport,
    make_report,
    write_report,
)

#: What the reporter is called among the plugins of pytest.
REPORTER: Final = "chariots-conformance-report"

#: How much of a failure's text a report repeats.
LONGEST: Final = 300


def pytest_addoption(parser: pytest.Parser) -> None:
    """
    Add the kit's options.
    """
    group = parser.getgroup("conformance", "conformance of worker backends")
    group.addoption(
        "--conformance-report",
        metavar="FILE",
        help="write what the kit has shown of each backend to FILE, as JSON",
    )
    group.addoption(
        "--conformance-level",
        choices=("basic", "full"),
        default="full",
        help="how much of the kit is run: the main behaviours in seconds, or all (the default)",
    )
    group.addoption(
        "--conformance-soak",
        action="store_true",
        help="behaviour 67 with 1,000 jobs, a kill each second, and restarts of the broker; "
        "give --timeout, and -s for its ledger",
    )


def pytest_configure(config: pytest.Config) -> None:
    """
    Report, if a report is asked for.
    """
    if config.getoption("conformance_report"):
        config.pluginmanager.register(Reporter(config), REPORTER)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Leave out what is not of the level; tests that are not the kit's stay.
    """
    if config.getoption("conformance_level") == "full":
        return
    left_out = [item for item in items if _is_kit(item) and _level(item) == "full"]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


class Reporter:
    """
    Collects what becomes of the kit's tests, and writes it down at the end.

    With pytest-xdist there is one in each process: those of the workers attach to each
    report of pytest what they know, and the one that started them writes.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._path = config.invocation_params.dir / str(config.getoption("conformance_report"))
        self._level: Level = config.getoption("conformance_level")
        self._writes = not hasattr(config, "workerinput")
        self._facts: dict[str, Mapping[str, Any]] = {}
        self._offered: dict[str, Mapping[str, Level]] = {}
        self._phases: dict[str, list[pytest.TestReport]] = {}

    def describe(self, suite: str, settings: Mapping[str, Any]) -> None:
        """
        Learn of the backend of *suite* from its *settings*.
        """
        # Late: it is the first part of the kit that needs the whole of the core.
        from chariots_core.testing.conformance.facts import facts_of

        self._facts[suite] = facts_of(settings)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """
        Attach what this process knows of the suite.
        """
        report = yield
        if _is_kit(item):
            suite = item.getparent(pytest.Class)
            assert suite is not None
            report.conformance = {  # type: ignore[attr-defined]
                "suite": suite.nodeid,
                "offered": dict(offered_by(suite.obj)),
                "facts": dict(self._facts.get(suite.nodeid, {})),
            }
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """
        Keep what is told of a test, from whichever process.
        """
        known = getattr(report, "conformance", None)
        if known is not None:
            suite = known["suite"]
            self._offered[suite] = known["offered"]
            if known["facts"]:
                self._facts[suite] = known["facts"]
        # A test whose process died is told of without what that process knew.
        if known is not None or report.outcome == "failed":
            self._phases.setdefault(report.nodeid, []).append(report)

    def pytest_sessionfinish(self) -> None:
        """
        Write the report, unless another process does.
        """
        if self._writes:
            write_report(self._path, self.reports())

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """
        Say in a line for each suite what the report says.
        """
        for report in self.reports():
            counts = ", ".join(f"{report.count(status)} {status.value}" for status in Status)
            terminalreporter.write_line(f"conformance of {report.suite}: {counts}")
        terminalreporter.write_line(f"conformance report: {self._path}")

    def reports(self) -> list[SuiteReport]:
        """
        What has been shown so far, suite by suite.
        """
        return [
            make_report(
                suite,
                level=self._level,
                backend=self._facts.get(suite, {}),
                offered=offered,
                outcomes=[
                    _outcome(nodeid.removeprefix(f"{suite}::"), phases)
                    for nodeid, phases in self._phases.items()
                    if nodeid.startswith(f"{suite}::")
                ],
            )
            for suite, offered in sorted(self._offered.items())
        ]


def _is_kit(item: pytest.Item) -> bool:
    """
    Whether a test is one of the kit's, in whichever class.
    """
    suite = getattr(item, "cls", None)
    return getattr(suite, "is_conformance_suite", False) and number_of(item.name) is not None


def _level(item: pytest.Item) -> Level:
    return level_of(getattr(item, "function", None))


def _outcome(test: str, phases: list[pytest.TestReport]) -> Outcome:
    """
    What became of a test, of what was told of its setup, itself and its teardown.
    """
    seconds = sum(phase.duration for phase in phases)
    failed = next((phase for phase in phases if phase.outcome == "failed"), None)
    if failed is not None:
        return Outcome(test=test, status=Status.failed, reason=_failure(failed), seconds=seconds)
    skipped = next((phase for phase in phases if phase.outcome == "skipped"), None)
    if skipped is None:
        return Outcome(test=test, status=Status.passed, seconds=seconds)
    if hasattr(skipped, "wasxfail"):
        reason = f"expected to fail: {skipped.wasxfail}"
        return Outcome(test=test, status=Status.failed, reason=reason, seconds=seconds)
    reason = _skip_reason(skipped)
    if reason.startswith(NOT_DECLARED):
        reason, status = reason.removeprefix(NOT_DECLARED), Status.not_declared
    else:
        reason, status = reason or "skipped without a reason", Status.not_run
    return Outcome(test=test, status=status, reason=reason, seconds=seconds)


def _skip_reason(report: pytest.TestReport) -> str:
    told = report.longrepr
    text = str(told[2]) if isinstance(told, tuple | list) else str(told)
    return text.removeprefix("Skipped: ")


def _failure(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else report.longrepr)
    return (text.strip().splitlines() or ["?"])[0][:LONGEST]
