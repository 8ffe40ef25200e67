"""
The kit's report says of each behaviour what became of it, and never leaves one out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chariots_core.testing.conformance import WorkerPoolConformance
from chariots_core.testing.conformance.behaviours import (
    NOT_IN_THE_KIT,
    TITLES,
    offered_by,
)
from chariots_core.testing.conformance.facts import facts_of
from chariots_core.testing.conformance.report import Outcome, Status, make_report, read_report
from tests.support import ROOT

#: A suite without a backend: what a report says is known beforehand.
SUITE = """
import os
import pytest
from chariots_core.testing.conformance.behaviours import basic
from chariots_core.testing.conformance.fixtures import not_declared

class TestFake:
    is_conformance_suite = True
    test_13_left_out = None

    @basic
    def test_10_passes(self):
        pass

    @pytest.mark.parametrize("way", ["good", "odd"])
    def test_11_passes_in_part(self, way):
        if way == "odd":
            not_declared("oddity")

    def test_12_fails(self):
        assert 1 == 2, "as it has to"

    def test_14_is_not_declared(self):
        not_declared("a spare wheel")

    def test_15_misses_a_service(self):
        pytest.skip("needs a moon")

    @pytest.fixture
    def broken(self):
        yield
        raise OSError("the teardown")

    def test_16_fails_in_its_teardown(self, broken):
        pass

    @pytest.mark.xfail(reason="not yet")
    def test_17_is_expected_to_fail(self):
        assert False

def test_18_is_not_of_a_suite():
    pass
"""


def run(folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    """
    Run the suite in a pytest of its own, as a third party would; the report, and the output.
    """
    (folder / "test_fake.py").write_text(SUITE)
    target = folder / "deep" / "report.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    plugin = ["-p", "chariots_core.testing.conformance.plugin", f"--conformance-report={target}"]
    done = subprocess.run(
        [*command, *plugin, *options, "test_fake.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert target.exists(), done.stdout + done.stderr
    return json.loads(target.read_text()), done.stdout


def behaviours(report: dict[str, Any]) -> dict[int, tuple[str, list[str]]]:
    """
    Status and reasons by number.
    """
    (suite,) = report["suites"]
    return {each["number"]: (each["status"], each["reasons"]) for each in suite["behaviours"]}


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_each_behaviour_has_a_status_and_a_reason(tmp_path: Path, options: Sequence[str]) -> None:
    """
    Passed, failed, not declared and not run, each with why, with and without pytest-xdist.
    """
    report, output = run(tmp_path, *options)
    found = behaviours(report)

    assert list(TITLES) == sorted(found)
    assert ("passed", []) == found[10]
    assert ("passed", ["oddity"]) == found[11]
    assert ("failed", "as it has to" in found[12][1][0]) == (found[12][0], True)
    assert ("not run", ["left out by the author of the class"]) == found[13]
    assert ("not declared", ["a spare wheel"]) == found[14]
    assert ("not run", ["needs a moon"]) == found[15]
    assert ("failed", ["OSError: the teardown"]) == found[16]
    assert ("failed", ["expected to fail: not yet"]) == found[17]
    assert ("not declared", [NOT_IN_THE_KIT[59]]) == found[59]
    assert "not run" == found[18][0]
    (suite,) = report["suites"]
    assert "test_fake.py::TestFake" == suite["suite"]
    assert {"passed": 2, "failed": 3} == {k: suite["summary"][k] for k in ("passed", "failed")}
    assert 71 == sum(suite["summary"].values())
    assert "conformance of test_fake.py::TestFake: 2 passed, 3 failed" in output


def test_durations_are_measured(tmp_path: Path) -> None:
    """
    Each test that ran has its seconds, and a behaviour those of its tests.
    """
    report, _ = run(tmp_path)
    (suite,) = report["suites"]
    parts = next(each for each in suite["behaviours"] if each["number"] == 11)

    assert ["test_11_passes_in_part[good]", "test_11_passes_in_part[odd]"] == [
        test["test"] for test in parts["tests"]
    ]
    assert all(test["seconds"] >= 0 for test in parts["tests"])
    assert suite["seconds"] > 0


def test_the_level_basic_leaves_out_what_is_not_marked(tmp_path: Path) -> None:
    """
    At level basic only marked tests of the kit are run, and the report says so.
    """
    report, output = run(tmp_path, "--conformance-level=basic")
    found = behaviours(report)

    assert ("passed", []) == found[10]
    assert ("not run", ["left out at level basic"]) == found[12]
    assert "basic" == report["suites"][0]["level"]
    assert "2 passed" in output, "the test that is not the kit's is run as ever"


def test_a_selection_is_no_secret(tmp_path: Path) -> None:
    """
    Tests that were not selected are in the report, as not run.
    """
    report, _ = run(tmp_path, "-k", "test_10_")

    assert ("not run", ["not selected in this run"]) == behaviours(report)[12]


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    """
    A file gives the same statuses and reasons as the run that wrote it.
    """
    report, _ = run(tmp_path)
    (suite,) = read_report(tmp_path / "deep" / "report.json")

    written = {b.number: (b.status.value, list(b.reasons)) for b in suite.behaviours}
    assert behaviours(report) == written
    assert report["suites"][0]["summary"] == suite.as_plain()["summary"]


def test_a_process_that_died_fails_its_test() -> None:
    """
    A test is failed though nobody could attach to its report what the kit knows of it.
    """
    outcomes = [Outcome(test="test_10_x", status=Status.failed, reason="worker 'gw0' crashed")]
    made = make_report("s", level="full", backend={}, offered={"test_10_x": "full"},
                       outcomes=outcomes)  # fmt: skip

    assert Status.failed is made.behaviours[9].status


def test_facts_tell_where_a_backend_comes_from() -> None:
    """
    Distribution, versions and capabilities are told, and no setting is.
    """
    facts = facts_of({"backend": "local", "url": "sqlite:////nowhere/hunter2.db"})

    assert ("local", "chariots-core") == (facts["name"], facts["distribution"])
    assert "priorities" in facts["capabilities"]
    assert {"sqlite", "sqlalchemy"} <= set(facts["engines"])
    assert [] == facts["unproved"]
    assert "hunter2" not in json.dumps(facts)


def test_facts_tell_of_a_backend_that_is_not_there() -> None:
    """
    A backend that cannot be asked is described by the error.
    """
    assert "BackendNotInstalled" in facts_of({"backend": "nobody"})["error"]


def test_the_level_basic_has_a_kill_and_no_soak() -> None:
    """
    The quick level still kills a process, and leaves what takes long to the full one.
    """
    levels = offered_by(WorkerPoolConformance)

    assert "basic" == levels["test_30_the_executing_process_is_killed"]
    assert "full" == levels["test_67_random_kills_lose_and_double_nothing"]
    assert len(levels) / 3 < sum(level == "basic" for level in levels.values()) < len(levels)
