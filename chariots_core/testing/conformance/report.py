"""
What a run of the kit has shown of one backend, behaviour by behaviour, as JSON.

.. code-block:: text

    schema                 1
    suites                 one for each test class
        suite              its name in pytest
        level              "basic" or "full"
        backend            name, distribution, version, core, python, engines,
                           capabilities, isolation, unproved
        summary            how many behaviours have come to each status
        seconds
        behaviours         1 to 71
            number, title, seconds
            status         "passed", "failed", "not declared" or "not run"
            reasons        why one of its tests, or all of it, did not pass
            tests          test, status, reason, seconds of each
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from chariots_core.testing.conformance.behaviours import (
    NOT_IN_THE_KIT,
    TITLES,
    Level,
    number_of,
)

#: The form of the file. It grows when a reader of the last form would be misled.
SCHEMA: Final = 1

#: What a skip begins with whose reason is a capability, or what a fixture does not give.
NOT_DECLARED: Final = "not declared: "


class Status(enum.StrEnum):
    """
    What became of a test or of a behaviour.
    """

    passed = "passed"
    failed = "failed"
    not_declared = "not declared"
    not_run = "not run"


#: What tells more than what stands behind it.
_FIRST: Final = (Status.failed, Status.passed, Status.not_declared, Status.not_run)


@attrs.frozen(kw_only=True)
class Outcome:
    """
    What became of one test.

    Attributes:
        test: its name, parameters included.
        status: what became of it.
        reason: why it did not pass.
        seconds: how long it took, its fixtures included.
    """

    test: str
    status: Status
    reason: str = ""
    seconds: float = 0.0


@attrs.frozen(kw_only=True)
class Behaviour:
    """
    What is known of one behaviour.

    Attributes:
        number: its number.
        title: what it is about.
        tests: all tests that show it, those that did not run included.
        reason: why, where there is no test for it.
    """

    number: int
    title: str
    tests: Sequence[Outcome] = ()
    reason: str = ""

    @property
    def status(self) -> Status:
        """
        Failed if one test has; passed if one has and none failed.

        What some of its tests did not show is in `reasons`.
        """
        if not self.tests:
            return Status.not_declared if self.reason else Status.not_run
        met = {outcome.status for outcome in self.tests}
        return next(status for status in _FIRST if status in met)

    @property
    def seconds(self) -> float:
        """
        How long its tests took.
        """
        return sum(outcome.seconds for outcome in self.tests)

    @property
    def reasons(self) -> Sequence[str]:
        """
        Each reason for which a test, or all of it, did not pass.
        """
        told = [self.reason, *(outcome.reason for outcome in self.tests)]
        return tuple(dict.fromkeys(reason for reason in told if reason))

    def as_plain(self) -> dict[str, Any]:
        """
        The behaviour as JSON values.
        """
        return {
            "number": self.number,
            "title": self.title,
            "status": self.status.value,
            "reasons": list(self.reasons),
            "seconds": round(self.seconds, 3),
            "tests": [
                attrs.asdict(outcome) | {"seconds": round(outcome.seconds, 3)}
                for outcome in self.tests
            ],
        }


@attrs.frozen(kw_only=True)
class SuiteReport:
    """
    What a run has shown of one backend.

    Attributes:
        suite: the test class, by its name in pytest.
        level: how much of the kit was asked for.
        backend: what is known of the backend; see `facts`.
        behaviours: all of them, in order.
    """

    suite: str
    level: Level
    backend: Mapping[str, Any]
    behaviours: Sequence[Behaviour]

    def count(self, status: Status) -> int:
        """
        How many behaviours have come to *status*.
        """
        return sum(behaviour.status is status for behaviour in self.behaviours)

    @property
    def seconds(self) -> float:
        """
        How long all tests took, one after the other.
        """
        return sum(behaviour.seconds for behaviour in self.behaviours)

    def as_plain(self) -> dict[str, Any]:
        """
        The report as JSON values.
        """
        return {
            "suite": self.suite,
            "level": self.level,
            "backend": dict(self.backend),
            "summary": {status.value: self.count(status) for status in Status},
            "seconds": round(self.seconds, 3),
            "behaviours": [behaviour.as_plain() for behaviour in self.behaviours],
        }

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> SuiteReport:
        """
        The report that `as_plain` wrote.
        """
        return cls(
            suite=data["suite"],
            level=data["level"],
            backend=data["backend"],
            behaviours=[_behaviour(each) for each in data["behaviours"]],
        )


def make_report(
    suite: str,
    *,
    level: Level,
    backend: Mapping[str, Any],
    offered: Mapping[str, Level],
    outcomes: Iterable[Outcome],
) -> SuiteReport:
    """
    Put the outcomes of a run under the numbers of the behaviours.

    Args:
        suite: the test class, by its name in pytest.
        level: how much of the kit was asked for.
        backend: what is known of the backend.
        offered: the tests that the class has, with their levels.
        outcomes: of the tests that pytest came to.
    """
    found: dict[int, list[Outcome]] = {number: [] for number in TITLES}
    met = set()
    for outcome in outcomes:
        number = number_of(outcome.test)
        if number in found:
            found[number].append(outcome)
            met.add(outcome.test.partition("[")[0])
    for test, needed in offered.items():
        number = number_of(test)
        if number in found and test not in met:
            left_out = level == "basic" and needed == "full"
            reason = "left out at level basic" if left_out else "not selected in this run"
            found[number].append(Outcome(test=test, status=Status.not_run, reason=reason))
    behaviours = [_counted(number, found[number]) for number in sorted(TITLES)]
    return SuiteReport(suite=suite, level=level, backend=backend, behaviours=behaviours)


def write_report(path: Path, reports: Sequence[SuiteReport]) -> None:
    """
    Write the reports of one run to a file, whose folder need not exist.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {"schema": SCHEMA, "suites": [report.as_plain() for report in reports]}
    path.write_text(json.dumps(data, indent=1, sort_keys=False) + "\n", encoding="utf-8")


def read_report(path: Path) -> Sequence[SuiteReport]:
    """
    The reports in a file.

    Raises:
        ValueError: the file is of another form.
    """
    data = json.loads(path.read_text(encoding="utf-8"))
    if data.get("schema") != SCHEMA:
        raise ValueError(f"{str(path)!r} is no conformance report of schema {SCHEMA}")
    return [SuiteReport.from_plain(suite) for suite in data["suites"]]


def _counted(number: int, outcomes: Sequence[Outcome]) -> Behaviour:
    reason = ""
    if not outcomes:
        reason = NOT_IN_THE_KIT.get(number, "")
        if not reason:
            left_out = Outcome(
                test="", status=Status.not_run, reason="left out by the author of the class"
            )
            outcomes = [left_out]
    return Behaviour(
        number=number,
        title=TITLES[number],
        tests=sorted(outcomes, key=lambda outcome: outcome.test),
        reason=reason,
    )


def _behaviour(data: Mapping[str, Any]) -> Behaviour:
    tests = [Outcome(**each | {"status": Status(each["status"])}) for each in data["tests"]]
    reason = "" if tests else " ".join(data["reasons"])
    return Behaviour(number=data["number"], title=data["title"], tests=tests, reason=reason)
