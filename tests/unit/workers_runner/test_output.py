"""
What a job prints: kept, bounded, and never in the way.
"""

from __future__ import annotations

import ctypes
from typing import Any

import psutil
import pytest

from chariots_core.jobs.status import Reason
from chariots_core.workers.contracts import RunOutcome
from chariots_core.workers.runner import JobRunner
from tests.support import process_alive, wait_until
from tests.unit.workers_runner.conftest import Jobs, MakeRunner
from tests.unit.workers_runner.kit import SPEC

CHILDREN: list[dict[str, Any]] = [
    {"isolation": "warm"},
    {"isolation": "fresh"},
    {"isolation": "warm", "start_method": "spawn", "app_spec": SPEC},
]


@pytest.mark.parametrize("settings", CHILDREN, ids=["warm", "fresh", "spawn"])
def test_everything_printed_is_kept(
    settings: dict[str, Any], make_runner: MakeRunner, jobs: Jobs
) -> None:
    """
    Both streams, C code and programs that the job runs: all is in the job's output.
    """
    runner = make_runner(**settings)

    _, record = jobs.run(
        runner, "say", {"out": "from print", "err": "from stderr", "c": "C\n", "program": "echo"}
    )

    assert {"from print", "from stderr", "C", "echo"} == set(jobs.output(record).splitlines())


def test_output_belongs_to_its_job(runner: JobRunner, jobs: Jobs) -> None:
    """
    Jobs of one child do not see each other's output; a silent one has none.
    """
    records = [jobs.run(runner, "say", {"out": text})[1] for text in ("one", "two")]
    _, silent = jobs.run(runner, "echo", 1)

    assert ["one\n", "two\n", ""] == [jobs.output(record) for record in (*records, silent)]


def test_output_of_a_failed_job(runner: JobRunner, jobs: Jobs) -> None:
    """
    What a job printed before it raised is kept.
    """
    outcome, record = jobs.run(runner, "say", {"out": "last words", "then": "boom"})

    assert RunOutcome.FAILED is outcome
    assert "last words\n" == jobs.output(record)


def test_output_of_a_killed_job(runner: JobRunner, jobs: Jobs) -> None:
    """
    What a job printed before it was killed for its time is kept.
    """
    _, record = jobs.run(runner, "say_and_sleep", 60, timeout=0.5)

    assert Reason.TIMEOUT == record.reason
    assert "before the sleep\n" == jobs.output(record)


def test_flood_is_bounded(runner: JobRunner, jobs: Jobs) -> None:
    """
    A gigabyte of output neither stalls the worker nor stays in its memory; its
    beginning and its end are kept.
    """
    assert "done" == jobs.value(runner, "shout", 1_000_000)
    before = psutil.Process().memory_info().rss

    _, record = jobs.run(runner, "shout", 1_000_000_000)
    output = jobs.output(record)

    assert "done" == record.value
    assert psutil.Process().memory_info().rss - before < 20_000_000
    assert output.startswith("the beginning\nxxx")
    assert output.endswith("xxx\nthe end\n")
    assert "bytes cut ...]" in output
    assert 64 * 1024 <= len(output.encode()) < 65 * 1024


def test_limit_is_a_setting(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    How much is kept is up to the settings.
    """
    _, record = jobs.run(make_runner(output_limit=10), "say", {"out": "0123456789abcdef"})

    assert "01234\n[... 7 bytes cut ...]\ncdef\n" == jobs.output(record)


@pytest.mark.parametrize("isolation", ["warm", "fresh"])
def test_program_that_keeps_the_output_open(
    isolation: str, make_runner: MakeRunner, jobs: Jobs
) -> None:
    """
    A program that outlives its job and holds its output does not keep the worker waiting.
    """
    runner = make_runner(isolation=isolation)

    outcome, record = jobs.run(runner, "spawn_program", {})

    assert RunOutcome.DONE is outcome
    assert "started\n" == jobs.output(record)
    assert 3 == jobs.value(runner, "echo", 3)
    runner.close()
    wait_until(lambda: not process_alive(record.value), message="the program to be ended")


@pytest.mark.parametrize("isolation", ["warm", "fresh"])
def test_program_that_prints_without_end(
    isolation: str, make_runner: MakeRunner, jobs: Jobs
) -> None:
    """
    A program that floods the output of a job that is over does not keep the worker busy.
    """
    runner = make_runner(isolation=isolation)

    outcome, record = jobs.run(runner, "start_flood")

    assert RunOutcome.DONE is outcome
    assert 3 == jobs.value(runner, "echo", 3)
    runner.close()
    wait_until(lambda: not process_alive(record.value), message="the program to be ended")


def test_output_of_the_worker_is_not_the_jobs(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    What the worker has printed, and C code of it still holds back, does not
    come out in a job.
    """
    runner = make_runner(isolation="fresh")
    ctypes.CDLL(None).printf(b"from the worker")

    _, record = jobs.run(runner, "say", {"c": "from the job"})

    assert "from the job" == jobs.output(record)


def test_output_of_a_thread_is_not_kept(
    make_runner: MakeRunner, jobs: Jobs, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    A job in a thread prints to the worker's own output, as declared.
    """
    _, record = jobs.run(make_runner(isolation="thread"), "say", {"out": "aloud"})

    assert "" == jobs.output(record)
    assert "aloud\n" == capfd.readouterr().out
