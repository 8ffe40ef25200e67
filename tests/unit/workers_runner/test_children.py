"""
The processes that jobs run in: what they are, how long they live, what they share.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from chariots_core.errors import AppLoadError, ConfigurationError
from chariots_core.jobs.record import Progress
from chariots_core.jobs.status import JobStatus, Reason
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.workers.contracts import RunnerSettings, RunOutcome
from chariots_core.workers.isolation.executors import ChildExecutor
from chariots_core.workers.isolation.starting import choose_method
from chariots_core.workers.runner import JobRunner
from tests.support import process_alive, wait_until
from tests.unit.workers_runner.conftest import Jobs, MakeRunner
from tests.unit.workers_runner.kit import SPEC, FunctionApp

SPAWN: dict[str, Any] = {"start_method": "spawn", "app_spec": SPEC}
CHILDREN: list[dict[str, Any]] = [
    {"isolation": "warm"},
    {"isolation": "fresh"},
    {"isolation": "warm", **SPAWN},
    {"isolation": "fresh", **SPAWN},
]
IDS = ["warm-fork", "fresh-fork", "warm-spawn", "fresh-spawn"]

all_children = pytest.mark.parametrize("settings", CHILDREN, ids=IDS)


# -- what a child is


@all_children
def test_child_is_a_process_of_its_own(
    settings: dict[str, Any], make_runner: MakeRunner, jobs: Jobs
) -> None:
    """
    A child is made by the runner, leads a session that no terminal reaches, has
    nothing to read, one thread, and tells nothing in its arguments (61, 64).
    """
    facts = jobs.value(make_runner(**settings), "facts")

    assert os.getpid() == facts["ppid"]
    assert facts["pid"] == facts["group"] == facts["session"]
    assert "" == facts["stdin"]
    assert 1 == facts["threads"]
    assert SPEC not in facts["argv"]


def test_spawned_child_has_few_descriptors(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    A new interpreter gets the three streams, its socket and its memory for reports, no more.
    """
    facts = jobs.value(make_runner(**SPAWN), "facts")

    kinds = [link.split(":")[0] for link in facts["fds"] if not link.startswith("/proc")]
    # The memory takes two.
    memory = "/memfd"
    assert ["/dev/null", memory, memory, "pipe", "pipe", "socket"] == sorted(kinds)


def test_forked_child_closes_what_is_its_siblings(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    A child does not keep another child's connection to the worker open.
    """
    first = make_runner()
    executor = first._executor
    assert isinstance(executor, ChildExecutor)
    assert executor._child is not None
    connection = str(Path(f"/proc/self/fd/{executor._child._control.fileno()}").readlink())

    facts = jobs.value(make_runner(), "facts")

    assert connection not in facts["fds"]


@all_children
def test_random_numbers_differ(
    settings: dict[str, Any], make_runner: MakeRunner, jobs: Jobs
) -> None:
    """
    Children do not repeat each other's random numbers (63).
    """
    import numpy.random  # so that a forked child inherits its state

    assert numpy.random is not None
    facts = [jobs.value(make_runner(**settings), "facts") for _ in range(3)]

    assert 3 == len({fact["random"] for fact in facts})
    if settings.get("start_method") != "spawn":
        assert 3 == len({fact["numpy"] for fact in facts})


# -- how long it lives


def test_warm_child_lives_for_many_jobs(runner: JobRunner, jobs: Jobs) -> None:
    """
    Jobs share a warm child.
    """
    assert 1 == len({jobs.value(runner, "pid") for _ in range(5)})


@pytest.mark.parametrize("settings", CHILDREN[1::2], ids=IDS[1::2])
def test_fresh_child_lives_for_one(
    settings: dict[str, Any], make_runner: MakeRunner, jobs: Jobs
) -> None:
    """
    Each job has a fresh child, which is gone afterwards.
    """
    runner = make_runner(**settings)

    pids = [jobs.value(runner, "pid") for _ in range(3)]

    assert 3 == len(set(pids))
    assert not any(process_alive(pid) for pid in pids)


def test_fresh_jobs_share_no_state(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    What a job does to its process is not seen by the next one (63).
    """
    runner = make_runner(isolation="fresh")

    found = [jobs.value(runner, "pollute", "leaked") for _ in range(2)]

    assert [{"env": None, "cwd": str(Path.cwd())}] * 2 == found


def test_warm_jobs_share_their_process(runner: JobRunner, jobs: Jobs) -> None:
    """
    A warm child restores nothing between jobs, as documented (63).
    """
    jobs.value(runner, "pollute", "leaked")

    assert {"env": "leaked", "cwd": "/"} == jobs.value(runner, "pollute", "again")


def test_recycled_after_a_number_of_jobs(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    A warm child is replaced after as many jobs as the settings say.
    """
    runner = make_runner(max_jobs=2)

    pids = [jobs.value(runner, "pid") for _ in range(5)]

    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
    assert not process_alive(pids[0])


def test_recycled_over_a_memory_bound(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    A warm child that has grown too large is replaced after its job.
    """
    fresh = jobs.value(make_runner(), "pid")
    runner = make_runner(recycle_rss_mb=(psutil.Process(fresh).memory_info().rss >> 20) + 75)

    small = [jobs.value(runner, "grow", 1) for _ in range(2)]
    large = jobs.value(runner, "grow", 150)
    after = jobs.value(runner, "pid")

    assert small[0] == small[1] == large != after


def test_idle_child_that_died_is_replaced(runner: JobRunner, jobs: Jobs) -> None:
    """
    A child that was killed between jobs costs no job its attempt.
    """
    pid = jobs.value(runner, "pid")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not process_alive(pid))

    assert pid != jobs.value(runner, "pid")


def test_close_ends_the_child(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    A closed runner leaves no process; closing again does nothing.
    """
    runner = make_runner()
    pid = jobs.value(runner, "pid")

    runner.close()
    runner.close()

    assert not process_alive(pid)


def test_no_descriptor_is_lost(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    Runners, children and jobs give back all descriptors they open.
    """

    def use() -> None:
        for settings in ({"max_jobs": 1}, {"isolation": "fresh"}, {"isolation": "thread"}):
            runner = make_runner(**settings)
            jobs.value(runner, "echo", 1)
            jobs.value(runner, "echo", 2)
            runner.close()

    use()
    before = psutil.Process().num_fds()

    use()

    assert before == psutil.Process().num_fds()


# -- how it comes to be


def test_auto_forks_from_one_thread_only() -> None:
    """
    A process with threads is not copied: its locks may be held by threads that the copy lacks.
    """
    settings = RunnerSettings(app_spec=SPEC)
    alone = threading.active_count() == 1
    assert ("fork" if alone else "spawn") == choose_method(settings)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert "spawn" == choose_method(settings)
    finally:
        stop.set()
        thread.join()


def test_later_threads_do_not_end_a_worker(
    app: FunctionApp, store: SqlJobStore, jobs: Jobs
) -> None:
    """
    A worker that forked goes on to, where it cannot spawn, if threads come up later.
    """
    if threading.active_count() > 1:
        pytest.skip("the process that runs this test has threads of its own")
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    settings = RunnerSettings(isolation="fresh")
    with JobRunner(app, worker_id="w", settings=settings) as runner:
        assert 1 == jobs.value(runner, "echo", 1)
        thread.start()
        try:
            assert 2 == jobs.value(runner, "echo", 2)
        finally:
            stop.set()
            thread.join()


def test_spawn_needs_a_name(app: FunctionApp) -> None:
    """
    Without the app's name there is no spawned child, and the error says what to do.
    """
    runner = JobRunner(app, worker_id="w", settings=RunnerSettings(start_method="spawn"))
    try:
        with pytest.raises(ConfigurationError, match=r"name the app as 'package.module:attribute'"):
            runner.prepare()
    finally:
        runner.close()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_such_module:app", "No module named 'no_such_module'"),
        ("tests.unit.workers_runner.kit:nobody", "has no attribute 'nobody'"),
        ("tests.unit.workers_runner.kit:PIPELINES", "is a dict, not an app"),
        ("tests.unit.workers_runner.leaves:app", "exit code 7"),
    ],
)
def test_app_that_cannot_be_imported(
    spec: str, message: str, app: FunctionApp, jobs: Jobs, store: SqlJobStore
) -> None:
    """
    A child that cannot import the app is an error of the worker: it takes no job.
    """
    settings = RunnerSettings(start_method="spawn", app_spec=spec)
    job_id = jobs.submit("echo", 1)
    with (
        JobRunner(app, worker_id="w", settings=settings) as runner,
        pytest.raises(AppLoadError) as caught,
    ):
        runner.run(job_id)

    assert message in str(caught.value)
    assert JobStatus.queued is store.get(job_id).status


def test_app_that_takes_too_long(app: FunctionApp) -> None:
    """
    A child that does not get ready in time is given up.
    """
    settings = RunnerSettings(start_method="spawn", app_spec=SPEC, start_timeout=0.01)
    with (
        JobRunner(app, worker_id="w", settings=settings) as runner,
        pytest.raises(AppLoadError, match=r"within 0\.01 s"),
    ):
        runner.prepare()


def test_spawned_child_sees_the_same_modules(
    make_runner: MakeRunner, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The app is imported by the path that the worker itself has.
    """
    (tmp_path / "elsewhere.py").write_text("from tests.unit.workers_runner.kit import app\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert 1 == jobs.value(make_runner(start_method="spawn", app_spec="elsewhere:app"), "echo", 1)


# -- what it reports


@pytest.mark.parametrize(
    "settings", [*CHILDREN[:3], {"isolation": "thread"}], ids=[*IDS[:3], "thread"]
)
def test_progress(
    settings: dict[str, Any], make_runner: MakeRunner, jobs: Jobs, store: SqlJobStore
) -> None:
    """
    What an op reports is seen while it runs, only ever grows, and ends at the last report (58).
    """
    runner = make_runner(progress_interval=0.05, **settings)

    outcome, record = jobs.run(runner, "report", [1, 3, 5, 9, 10])

    assert RunOutcome.DONE is outcome
    assert Progress(done=10, total=10, node="fit") == record.progress
    seen = [event.data["done"] for event in store.events(record.id) if event.kind == "progress"]
    assert len(seen) >= 2
    assert sorted(set(seen)) == seen


def test_progress_is_written_now_and_then(
    make_runner: MakeRunner, jobs: Jobs, store: SqlJobStore
) -> None:
    """
    However often an op reports, the store hears of it at the interval only (58).
    """
    runner = make_runner(progress_interval=0.2)

    _, record = jobs.run(runner, "report_much", 100_000)

    assert record.started_at
    assert record.finished_at
    took = (record.finished_at - record.started_at).total_seconds()
    written = [event for event in store.events(record.id) if event.kind == "progress"]
    assert len(written) <= took / 0.2 + 1


def test_progress_of_a_short_job_costs_nothing(
    runner: JobRunner, jobs: Jobs, store: SqlJobStore
) -> None:
    """
    A job that is over before anybody could look writes its result and no report.
    """
    _, record = jobs.run(runner, "report_much", 5)

    assert record.progress is None


def test_progress_does_not_pass_to_the_next_job(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    A job that reports nothing has no progress, whatever ran before it and still runs.
    """
    runner = make_runner(progress_interval=0.05)
    jobs.run(runner, "report", [1, 2])
    jobs.run(runner, "report_much", 3)
    jobs.run(runner, "report_too_late")

    _, record = jobs.run(runner, "sleep", 0.2)

    assert record.progress is None


def test_same_report_of_the_next_job(make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    A job that reports just what the one before it did is heard all the same.
    """
    runner = make_runner(progress_interval=0.05)

    records = [jobs.run(runner, "report", [1, 1, 1])[1] for _ in range(2)]

    assert [Progress(done=1, total=10, node="fit")] * 2 == [record.progress for record in records]


# -- where the system offers less


@pytest.fixture(name="old_system", params=["no pidfd", "no waitid"])
def _old_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A system without descriptors for processes, and one that also cannot ask
    for an end without reaping.
    """
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    if request.param == "no waitid":
        monkeypatch.delattr(os, "waitid", raising=False)


@pytest.mark.usefixtures("old_system")
@pytest.mark.parametrize("isolation", ["warm", "fresh"])
def test_without_pidfds(isolation: str, make_runner: MakeRunner, jobs: Jobs) -> None:
    """
    Where no descriptor tells of a child's end, it is still noticed, in every way it can come.
    """
    runner = make_runner(isolation=isolation)

    pid = jobs.value(runner, "pid")
    reasons = [
        jobs.run(runner, "leave", 3)[1].reason,
        jobs.run(runner, "sleep", 60, timeout=0.2)[1].reason,
        jobs.run(runner, "close_everything")[1].reason,
    ]

    assert [Reason.WORKER_LOST, Reason.TIMEOUT, Reason.WORKER_LOST] == reasons
    assert pid != jobs.value(runner, "pid")


@pytest.mark.usefixtures("old_system")
def test_idle_child_that_died_without_pidfds(runner: JobRunner, jobs: Jobs) -> None:
    """
    There, too, a child that was killed between jobs costs no job its attempt.
    """
    pid = jobs.value(runner, "pid")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not process_alive(pid))

    assert pid != jobs.value(runner, "pid")
