"""
The kit notices what it is there to notice: each broken backend fails a test by name.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = [pytest.mark.crash, pytest.mark.slow]

#: What is broken, and the test that has to say so.
CAUGHT = (
    ("without fencing", "test_36_a_worker_that_slept_through_its_lease_commits_nothing"),
    ("orphans", "test_31_the_supervising_process_is_killed"),
    ("without leases", "test_32_the_whole_worker_is_killed"),
    ("without counting", "test_33_poison_ends_and_others_keep_flowing"),
    ("late queued", "test_19_a_quick_job_never_reads_as_queued_after_done"),
    ("done before result", "test_20_done_comes_with_its_result"),
    ("swallowed result", "test_23_a_result_that_is_not_json_fails_the_job"),
    ("ready at once", "test_61_a_spawned_worker_is_ready_when_it_says_so"),
    ("shared seed", "test_63_fresh_jobs_share_nothing"),
    ("published by the attempt", "test_68_a_kill_before_the_publication_only_delays_it"),
)


def run_kit(fault: str, test: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """
    Run one test of the kit on a backend with one fault, in a pytest of its own.
    """
    file = folder / "test_broken.py"
    file.write_text(
        "from tests.conformance.broken import BrokenBackend\n"
        "class TestBroken(BrokenBackend):\n"
        f"    fault = {fault!r}\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    options = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-k", test, str(file)]
    return subprocess.run(
        [*command, *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )


@pytest.mark.parametrize(("fault", "test"), CAUGHT, ids=[fault for fault, _ in CAUGHT])
def test_a_broken_backend_fails(fault: str, test: str, tmp_path: Path) -> None:
    """
    The test that is there for this fault fails, by an assertion and not by an accident.
    """
    done = run_kit(fault, test, tmp_path)

    assert pytest.ExitCode.TESTS_FAILED == done.returncode, done.stdout[-3000:] + done.stderr
    assert f"::{test}" in done.stdout
    assert "AssertionError" in done.stdout or "assert " in done.stdout
    assert "1 failed" in done.stdout


def test_an_unbroken_backend_passes(tmp_path: Path) -> None:
    """
    It is the fault that fails: without one, the same backend passes the same way.
    """
    done = run_kit("none", "test_32_the_whole_worker_is_killed", tmp_path)

    assert pytest.ExitCode.OK == done.returncode, done.stdout[-3000:] + done.stderr
