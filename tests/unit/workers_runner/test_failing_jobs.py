"""
Jobs that fail, each in its own way: the failure is data, and the runner goes on.
"""

# ruff: noqa: PLR0917  fixtures are asked for by name

from __future__ import annotations

from typing import Any

import pytest

from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.workers.contracts import RunOutcome
from chariots_core.workers.runner import JobRunner
from tests.unit.workers_runner.conftest import Jobs, MakeRunner

ISOLATIONS = ("warm", "fresh", "thread")


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_exception(isolation: str, make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    An op that raises fails the job with type, message, node and traceback; the
    next job runs (21).
    """
    runner = make_runner(isolation=isolation)

    outcome, record = jobs.run(runner, "fail", "too many cooks")

    assert RunOutcome.FAILED is outcome
    assert (JobStatus.failed, Reason.USER_ERROR) == (record.status, record.reason)
    assert record.error is not None
    assert "tests.unit.workers_runner.kit.OwnError" == record.error.type
    assert "too many cooks" == record.error.message
    assert "fail_node" == record.error.node
    assert record.error.traceback is not None
    assert "in fail\n    raise OwnError(value)" in record.error.traceback
    assert 1 == jobs.value(runner, "echo", 1)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_traceback_has_no_frames_of_ours(
    isolation: str, make_runner: MakeRunner, jobs: Jobs
) -> None:
    """
    A user sees the way through their own code, not through the worker's.
    """
    _, record = jobs.run(make_runner(isolation=isolation), "fail", "x")

    assert record.error is not None
    assert record.error.traceback is not None
    assert "chariots_core" not in record.error.traceback


@pytest.mark.parametrize(
    ("kind", "type_name", "message"),
    [
        ("SystemExit", "SystemExit", "leaving"),
        ("KeyboardInterrupt", "KeyboardInterrupt", "KeyboardInterrupt without a message"),
        ("OwnBaseError", "tests.unit.workers_runner.kit.OwnBaseError", "from below"),
        (
            "StubbornError",
            "tests.unit.workers_runner.kit.StubbornError",
            "<no message: RuntimeError in its __str__>",
        ),
        ("MemoryError", "MemoryError", "MemoryError without a message"),
        ("odd_text", "tests.unit.workers_runner.kit.OwnError", "nul ␀, surrogate \\ud800, ü"),
        ("not_json_inside", "chariots_core.errors.NotJSONError", "an op's own"),
    ],
)
@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_any_exception(
    kind: str, type_name: str, message: str, isolation: str, make_runner: MakeRunner, jobs: Jobs
) -> None:
    """
    Whatever an op raises is its own failure, and ends neither child nor worker (22).
    """
    runner = make_runner(isolation=isolation)
    pid = jobs.value(runner, "pid")

    _, record = jobs.run(runner, "raise_base", kind)

    assert Reason.USER_ERROR == record.reason
    assert record.error is not None
    assert (type_name, message) == (record.error.type, record.error.message)
    assert (pid == jobs.value(runner, "pid")) is (isolation != "fresh")


def test_huge_message_is_bounded(runner: JobRunner, jobs: Jobs) -> None:
    """
    Ten megabytes of message come down to what a record can carry.
    """
    _, record = jobs.run(runner, "raise_base", "huge")

    assert record.error is not None
    assert record.error.traceback is not None
    assert "bytes cut" in record.error.message
    assert 4096 <= len(record.error.message) < 4200
    assert len(record.error.traceback) < 33_000


@pytest.mark.parametrize("pipeline", ["recurse", "too_much_memory"])
def test_exhaustion_is_survived(pipeline: str, runner: JobRunner, jobs: Jobs) -> None:
    """
    A recursion without end and an allocation beyond all memory fail the job only (22).
    """
    pid = jobs.value(runner, "pid")

    _, record = jobs.run(runner, pipeline)

    assert Reason.USER_ERROR == record.reason
    assert record.error is not None
    assert record.error.type in {"RecursionError", "MemoryError"}
    assert pid == jobs.value(runner, "pid")


@pytest.mark.parametrize(
    ("pipeline", "value", "message"),
    [
        ("leave", 3, "exit code 3"),
        ("leave", 0, "exit code 0"),
        ("kill_self", 9, "killed by signal 9 (SIGKILL)"),
        ("kill_self", 34, "killed by signal 34 (SIGRTMIN)"),
        ("segfault", None, "killed by signal 11 (SIGSEGV)"),
        (
            "close_everything",
            None,
            "the child closed its connection to the worker, and was killed",
        ),
    ],
)
@pytest.mark.parametrize(
    "settings",
    [
        {"isolation": "warm"},
        {"isolation": "fresh"},
    ],
    ids=["warm", "fresh"],
)
def test_lost_child(
    pipeline: str,
    value: Any,
    message: str,
    settings: dict[str, Any],
    make_runner: MakeRunner,
    jobs: Jobs,
) -> None:
    """
    A job that ends its process fails as lost, says how, and the next one runs (22, 30).
    """
    runner = make_runner(**settings)

    outcome, record = jobs.run(runner, pipeline, value)

    assert RunOutcome.FAILED is outcome
    assert Reason.WORKER_LOST == record.reason
    assert record.error is not None
    assert ("ChildExited", message) == (record.error.type, record.error.message)
    assert 2 == jobs.value(runner, "echo", 2)


def test_crash_shows_where(runner: JobRunner, jobs: Jobs) -> None:
    """
    A crash in C leaves the Python line that led to it in the job's output.
    """
    _, record = jobs.run(runner, "segfault")

    assert "in segfault" in jobs.output(record)


@pytest.mark.parametrize("value", ["nan", "inf", "object", "circular"])
@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_result_that_json_cannot_carry(
    value: str, isolation: str, make_runner: MakeRunner, jobs: Jobs
) -> None:
    """
    A result that is no JSON fails the job, at once and for good (23).
    """
    runner = make_runner(isolation=isolation)

    outcome, record = jobs.run(runner, "not_json", value, max_attempts=3)

    assert RunOutcome.FAILED is outcome
    assert (JobStatus.failed, Reason.RESULT_NOT_SERIALIZABLE) == (record.status, record.reason)
    assert record.value_json is None
    assert 1 == record.attempt


def test_version_conflict(runner: JobRunner, jobs: Jobs) -> None:
    """
    A pipeline that cannot be loaded with valid links fails as that, and is not tried again.
    """
    outcome, record = jobs.run(runner, "version_conflict", max_attempts=3)

    assert RunOutcome.FAILED is outcome
    assert Reason.VERSION_CONFLICT == record.reason
    assert record.error is not None
    assert "op 'b' was never validated with 'a': train 'b' again" == record.error.message


def test_op_store_out_of_reach(runner: JobRunner, jobs: Jobs) -> None:
    """
    An op store that does not answer is no fault of the op: the job is tried again.
    """
    outcome, record = jobs.run(runner, "op_store_down", max_attempts=2)

    assert RunOutcome.RETRIED is outcome
    assert record.error is not None
    assert "chariots_core.errors.StoreUnavailable" == record.error.type


def test_copy_of_the_child_answers_nothing(runner: JobRunner, jobs: Jobs) -> None:
    """
    An op that forks and lets the copy return gives one result: that of the original.
    """
    assert "original" == jobs.value(runner, "fork_inside")
    assert 5 == jobs.value(runner, "echo", 5)


def test_log_of_a_failure_is_bounded(
    runner: JobRunner, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    """
    The log has where a job failed, and no more of a huge message than the record (21).
    """
    _, record = jobs.run(runner, "raise_base", "huge", max_attempts=2)

    (told,) = caplog.messages
    assert told.startswith(
        f"job {record.id}: attempt 1 of 2 of pipeline 'raise_base' failed in node "
        "'raise_base_node' (user_error): Traceback"
    )
    assert "in raise_base\n" in told
    assert len(told) < 40_000


def test_log_of_a_lost_child(
    runner: JobRunner, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    """
    An attempt that could leave no traceback is logged with what is known (30).
    """
    _, record = jobs.run(runner, "leave", 3)

    (told,) = caplog.messages
    assert f"job {record.id}: attempt 1 of 1 of pipeline 'leave' failed (worker_lost)" in told
    assert "ChildExited" in told
