"""
The example in the docstring of `BaseWorkerPool`, taken at its word.
"""

from __future__ import annotations

import doctest
import json
import os
import signal
from pathlib import Path

import pytest

from chariots_core.jobs import JobStatus
from chariots_core.workers import BaseWorkerPool, RunOutcome
from tests.local.app import PlainApp
from tests.support import wait_until


@pytest.fixture(name="app")
def _app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlainApp:
    """
    An app over the pool of the example, with its queue in a folder.
    """
    monkeypatch.setenv("CHARIOTS_JOB_STORE", f"sqlite:///{tmp_path}/jobs.db")
    (tmp_path / "queue").mkdir()
    names = {"BaseWorkerPool": BaseWorkerPool, "Path": Path, "RunOutcome": RunOutcome}
    for example in doctest.DocTestParser().get_examples(BaseWorkerPool.__doc__ or ""):
        exec(example.source, names)
    make = names["FolderPool"]
    return PlainApp(worker_pool=make(tmp_path / "queue"))


def test_example_fits_on_a_screen() -> None:
    """
    The smallest useful pool has at most 24 lines.
    """
    examples = doctest.DocTestParser().get_examples(BaseWorkerPool.__doc__ or "")

    assert sum(len(example.source.splitlines()) for example in examples) <= 24


def test_example_runs_jobs(app: PlainApp, tmp_path: Path) -> None:
    """
    10, 29: two workers of the example run each of its jobs once, those from before too.
    """
    ledger = tmp_path / "ledger"
    value = f'{{"path": "{ledger}"}}'
    early = [app.pool.execute_pipeline_async("note", value) for _ in range(5)]
    with app.pool.spawn_worker(), app.pool.spawn_worker():
        late = [app.pool.execute_pipeline_async("note", value) for _ in range(5)]
        wait_until(
            lambda: {app.pool.fetch_job(i).status for i in (*early, *late)} == {JobStatus.done},
            message="all jobs",
        )
    app.pool.close()

    assert ["start "] * 10 == [row for row in ledger.read_text().splitlines() if "start" in row]


def test_example_survives_a_lost_message(app: PlainApp, tmp_path: Path) -> None:
    """
    34, 41: a message that the queue loses is sent again, and the job runs once.
    """
    app.pool.resend_after = 0.2
    job_id = app.pool.execute_pipeline_async("echo", "1")
    (tmp_path / "queue" / f"{job_id}-1").unlink()
    with app.pool.spawn_worker():
        wait_until(lambda: app.pool.fetch_job(job_id).status.is_final, message="the lost job")
    record = app.pool.fetch_job(job_id)
    app.pool.close()

    assert (JobStatus.done, 1, True) == (record.status, record.attempt, record.generation > 1)


def test_example_keeps_what_it_does_not_run(app: PlainApp, tmp_path: Path) -> None:
    """
    46: a worker that is asked to stop leaves the other messages in the queue.
    """
    gate, ledger = tmp_path / "gate", tmp_path / "ledger"
    value = json.dumps({"path": str(ledger), "until": str(gate)})
    jobs = [app.pool.execute_pipeline_async("note", value) for _ in range(4)]
    with app.pool.spawn_worker() as worker:
        wait_until(ledger.exists, message="the start of one job")
        os.kill(worker.pid, signal.SIGTERM)
        gate.touch()

        assert 0 == worker.wait(timeout=10.0)
    done = [job_id for job_id in jobs if app.pool.fetch_job(job_id).status is JobStatus.done]
    left = {path.name.rpartition("-")[0] for path in (tmp_path / "queue").iterdir()}
    app.pool.close()

    assert 1 == len(done)
    assert set(jobs) - set(done) == left


def test_example_keeps_a_retry(app: PlainApp) -> None:
    """
    33, 41: the message of a retry is not removed with that of the attempt that failed.
    """
    app.pool.resend_after = 600.0
    with app.pool.spawn_worker():
        job_id = app.pool.execute_pipeline_async("suicide", max_attempts=3)
        wait_until(lambda: app.pool.fetch_job(job_id).status.is_final, message="three attempts")
    record = app.pool.fetch_job(job_id)
    app.pool.close()

    assert (JobStatus.failed, 3) == (record.status, record.attempt)


def test_example_drops_a_forged_message(app: PlainApp, tmp_path: Path) -> None:
    """
    27, 65: a message that names no job is dropped, and the next job runs.
    """
    for name in ("nobody", "not a job id", "é"):
        (tmp_path / "queue" / name).touch()
    with app.pool.spawn_worker() as worker:
        job_id = app.pool.execute_pipeline_async("echo", "1")
        wait_until(lambda: app.pool.fetch_job(job_id).status.is_final, message="the real job")
        wait_until(lambda: not os.listdir(tmp_path / "queue"), message="an empty queue")  # noqa: PTH208
        assert worker.alive
    app.pool.close()
