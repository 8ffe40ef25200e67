"""
A worker that runs jobs in its own thread is looked after by another one meanwhile.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from chariots_core.jobs import JobRecord, JobStatus, NewJob, Progress, lifecycle
from chariots_core.local import LocalWorkerPool
from chariots_core.testing.conformance.processes import halt
from chariots_core.workers import JobInput, JobOutput, RunnerSettings, WorkerSettings
from chariots_core.workers.handle import WorkerProcess
from chariots_core.workers.process import EXIT_OK, EXIT_UNFINISHED, run_worker_process
from chariots_core.workers.spawn import spawn_worker
from tests.local.app import PlainApp, echo
from tests.support import wait_until

SETTINGS = WorkerSettings(
    beat_interval=0.1,
    runner=RunnerSettings(
        isolation="thread", lease=0.9, progress_interval=0.1, housekeeping_interval=0.1
    ),
)


def begun(value: Mapping[str, Any]) -> None:
    """
    Says that the job runs.
    """
    Path(value["path"]).touch()


def nap(value: Mapping[str, Any]) -> float:
    """
    Sleeps.
    """
    begun(value)
    time.sleep(value["seconds"])
    return float(value["seconds"])


def stuck(value: Mapping[str, Any]) -> None:
    """
    Waits within the interpreter, where no signal reaches Python code, for ever.
    """
    begun(value)
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


class ReportingApp(PlainApp):
    """
    Its jobs tell how far they are.
    """

    def execute_job(self, job: JobInput) -> JobOutput:
        if job.pipeline == "steps":
            value = json.loads(job.input_json or "")
            for done in range(20):
                job.report(Progress(done=done, total=20))
                time.sleep(value["seconds"] / 20)
        return super().execute_job(job)


@pytest.fixture(name="app")
def _app(tmp_path: Path) -> Iterator[PlainApp]:
    pipelines = {"nap": nap, "stuck": stuck, "echo": echo, "steps": echo}
    pool = LocalWorkerPool(url=f"sqlite:///{tmp_path}/jobs.db")
    app = ReportingApp(worker_pool=pool, pipelines=pipelines)
    yield app
    app.pool.close()


@pytest.fixture(name="worker")
def _worker(app: PlainApp) -> Iterator[WorkerProcess]:
    with spawn_worker(app.pool, settings=SETTINGS).wait_ready() as worker:
        yield worker


def start(app: PlainApp, folder: Path, pipeline: str, seconds: float, **options: Any) -> str:
    """
    Submits a job, and waits until it runs.
    """
    path = folder / "begun"
    value = json.dumps({"path": str(path), "seconds": seconds})
    job = NewJob(pipeline=pipeline, backend="local", input_json=value, **options)
    job_id = app.pool.submit_job(job).id
    if pipeline != "steps":
        wait_until(path.exists, message="the start of the job")
    return job_id


def final(app: PlainApp, job_id: str) -> JobRecord:
    """
    The job, once it is over.
    """
    store = app.job_store
    wait_until(lambda: store.get(job_id).status.is_final, message="the end of the job")
    return store.get(job_id)


@pytest.mark.usefixtures("worker")
def test_long_job_keeps_its_lease(app: PlainApp, tmp_path: Path) -> None:
    """
    (40) A job that lasts several times as long as its lease is done by its first attempt.
    """
    record = final(app, start(app, tmp_path, "nap", 2.5, max_attempts=3))

    assert (JobStatus.done, 1) == (record.status, record.attempt)


@pytest.mark.usefixtures("worker")
def test_brief_and_long_jobs_in_turn(app: PlainApp, tmp_path: Path) -> None:
    """
    Each job is looked after by itself, whatever came before it.
    """
    records = []
    for number in range(3):
        brief = [app.pool.execute_pipeline_async("echo", str(n)) for n in range(20)]
        folder = tmp_path / str(number)
        folder.mkdir()
        records.append(final(app, start(app, folder, "nap", 1.2)))
        records += [final(app, job_id) for job_id in brief]

    assert {(JobStatus.done, 1)} == {(record.status, record.attempt) for record in records}


@pytest.mark.usefixtures("worker")
def test_progress_is_written_meanwhile(app: PlainApp, tmp_path: Path) -> None:
    """
    How far a job is can be read while it runs, and at its end the whole way.
    """
    job_id = start(app, tmp_path, "steps", 1.5)
    store = app.job_store
    wait_until(lambda: store.get(job_id).progress, message="a report")
    assert JobStatus.running is store.get(job_id).status

    record = final(app, job_id)
    assert record.progress is not None
    assert (JobStatus.done, 19) == (record.status, record.progress.done)


@pytest.mark.parametrize(
    ("timeout", "reason"), [(0.3, "timeout"), (None, "cancelled")], ids=["timeout", "cancel"]
)
@pytest.mark.usefixtures("worker")
def test_verdict_takes_effect_at_the_end(
    app: PlainApp, tmp_path: Path, timeout: float | None, reason: str
) -> None:
    """
    A job that is out of time, or cancelled, keeps its lease until it is over, and fails then.
    """
    job_id = start(app, tmp_path, "nap", 1.5, timeout=timeout)
    began = time.monotonic()
    if timeout is None:
        lifecycle.request_cancel(app.job_store, job_id)
    record = final(app, job_id)

    assert (JobStatus.failed, reason, 1) == (record.status, record.reason, record.attempt)
    assert time.monotonic() - began > 1.0
    after = final(app, app.pool.execute_pipeline_async("echo", "1"))
    assert JobStatus.done is after.status


def test_frozen_worker_commits_nothing(
    app: PlainApp, worker: WorkerProcess, tmp_path: Path
) -> None:
    """
    (36) A worker that slept for longer than its lease finds its attempt settled, and goes on.
    """
    job_id = start(app, tmp_path, "nap", 1.0)
    halt([worker.pid])
    with spawn_worker(app.pool, settings=attrs.evolve(SETTINGS, tick_interval=0.1)).wait_ready():
        lost = final(app, job_id)
    os.kill(worker.pid, signal.SIGCONT)
    after = final(app, app.pool.execute_pipeline_async("echo", "1"))

    assert (JobStatus.failed, "worker_lost") == (lost.status, lost.reason)
    assert JobStatus.done is after.status
    assert lost == app.job_store.get(job_id)


def test_first_signal_is_heard_by_a_job_that_hears_nothing(
    app: PlainApp, worker: WorkerProcess, tmp_path: Path
) -> None:
    """
    (46) The worker says at once that it is stopping, and the job at hand ends well.
    """
    job_id = start(app, tmp_path, "nap", 1.5)
    worker.term()
    os.kill(worker.pid, signal.SIGTERM)
    store = app.job_store
    wait_until(lambda: [w for w in store.workers() if w.state == "stopping"], message="its word")
    assert JobStatus.running is store.get(job_id).status

    assert EXIT_OK == worker.wait(timeout=10.0)
    assert JobStatus.done is store.get(job_id).status


def test_worker_leaves_a_job_that_hears_nothing(
    app: PlainApp, worker: WorkerProcess, tmp_path: Path
) -> None:
    """
    (48) The second signal ends a worker at once, though its job goes on for ever.
    """
    job_id = start(app, tmp_path, "stuck", 0.0)
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(timeout=0.5) is None
    began = time.monotonic()
    os.kill(worker.pid, signal.SIGTERM)

    assert EXIT_UNFINISHED == worker.wait(timeout=10.0)
    assert time.monotonic() - began < 2.0
    assert "worker_lost" == app.job_store.get(job_id).reason
    assert [] == app.job_store.workers()
    assert "Traceback" not in worker.output


def test_worker_in_a_thread_of_a_program(app: PlainApp) -> None:
    """
    (61) A worker need not be a program's main thread; what was asked of it ends it, too.
    """
    read, write = os.pipe()
    codes: list[int] = []
    thread = threading.Thread(
        target=lambda: codes.append(run_worker_process(app.pool, SETTINGS, lifeline=read))
    )
    thread.start()
    record = final(app, app.pool.execute_pipeline_async("echo", "1"))
    os.close(write)
    thread.join(10.0)
    os.close(read)

    assert (JobStatus.done, [EXIT_OK]) == (record.status, codes)
