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

#: The nine faults that a kit of worker backends has to notice, by their names, and the
#: tests that have to say so.
NINE = (
    ("B1", "in memory", "test_12_another_process_reads_the_identical_record"),
    ("B2", "late queued", "test_19_a_quick_job_never_reads_as_queued_after_done"),
    ("B3", "swallowed result", "test_23_a_result_that_is_not_json_fails_the_job"),
    ("B4", "popped before the claim", "test_34_a_worker_is_killed_between_dequeue_and_claim"),
    ("B5", "without options", "test_56_higher_priorities_start_first"),
    ("B5", "without options", "test_55_a_scheduled_job_starts_in_time"),
    ("B5", "unchecked options", "test_08_what_is_not_declared_is_refused_before_the_queue"),
    ("B6", "none for unknown", "test_11_an_unknown_id_is_not_found"),
    ("B7", "without fencing", "test_36_a_worker_that_slept_through_its_lease_commits_nothing"),
    ("B8", "without counting", "test_33_poison_ends_and_others_keep_flowing"),
    ("B9", "connected before the fork", "test_06_a_pool_is_made_without_a_connection"),
)

#: Other faults, each with the test that has to say so.
OTHERS = (
    ("orphans", "test_31_the_supervising_process_is_killed"),
    ("without leases", "test_32_the_whole_worker_is_killed"),
    ("done before result", "test_20_done_comes_with_its_result"),
    ("ready at once", "test_61_a_spawned_worker_is_ready_when_it_says_so"),
    ("shared seed", "test_63_fresh_jobs_share_nothing"),
    ("done before models", "test_68_a_kill_before_the_publication_only_delays_it"),
    ("published by the attempt", "test_68_a_kill_before_the_publication_only_delays_it"),
)

CAUGHT = [
    *(pytest.param(fault, test, id=f"{name} {fault}: {test[:7]}") for name, fault, test in NINE),
    *(pytest.param(fault, test, id=fault) for fault, test in OTHERS),
]

#: How pytest says that a check has failed, and nothing else.
BY_A_CHECK = ("AssertionError", "assert ", "DID NOT RAISE")


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


@pytest.mark.parametrize(("fault", "test"), CAUGHT)
def test_a_broken_backend_fails(fault: str, test: str, tmp_path: Path) -> None:
    """
    The test that is there for this fault fails, by an assertion and not by an accident.
    """
    done = run_kit(fault, test, tmp_path)

    assert pytest.ExitCode.TESTS_FAILED == done.returncode, done.stdout[-3000:] + done.stderr
    assert f"::{test}" in done.stdout
    assert any(words in done.stdout for words in BY_A_CHECK)
    assert "1 failed" in done.stdout


def test_the_nine_are_all_there() -> None:
    """
    None of the nine faults is without a test that catches it.
    """
    assert [f"B{number}" for number in range(1, 10)] == sorted({name for name, _, _ in NINE})


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("none", "test_32_the_whole_worker_is_killed"),
        ("kept until the end", "test_34_a_worker_is_killed_between_dequeue_and_claim"),
    ],
    ids=["none", "a queue of files"],
)
def test_an_unbroken_backend_passes(fault: str, test: str, tmp_path: Path) -> None:
    """
    It is the fault that fails: without one, the same backend passes the same way.
    """
    done = run_kit(fault, test, tmp_path)

    assert pytest.ExitCode.OK == done.returncode, done.stdout[-3000:] + done.stderr
    assert "1 passed" in done.stdout
