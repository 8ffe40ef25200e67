"""
The backend `local`, with real worker processes.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from chariots_core.jobs import JobQuery, JobRecord, JobStatus, NewJob
from chariots_core.local import LocalWorkerPool
from chariots_core.workers.contracts import Isolation, RunnerSettings
from chariots_core.workers.settings import WorkerSettings
from chariots_core.workers.spawn import spawn_worker
from tests.local.app import PlainApp, local_app
from tests.support import process_alive, wait_until


def final(app: PlainApp, job_id: str, timeout: float = 10.0) -> JobRecord:
    """
    Waits for the end of a job.
    """
    wait_until(
        lambda: app.pool.fetch_job(job_id).status.is_final,
        timeout,
        lambda: f"the end of {app.pool.fetch_job(job_id)}",
    )
    return app.pool.fetch_job(job_id)


def submit(
    app: PlainApp, pipeline: str = "echo", value: object = None, **options: int | str
) -> str:
    """
    Submits one job.
    """
    return app.pool.submit_job(
        NewJob(
            pipeline=pipeline,
            backend="local",
            input_json=json.dumps(value),
            **options,  # type: ignore[arg-type]
        )
    ).id


def test_job_waits_for_a_worker(app: PlainApp) -> None:
    """
    9, 10: a job is seen as queued before any worker exists, and runs when one starts.
    """
    job_id = submit(app, value={"text": "é", "big": 10**30, "none": None})
    assert JobStatus.queued is app.pool.fetch_job(job_id).status
    assert 0 == app.pool.n_workers

    with app.pool.spawn_worker().wait_ready():
        record = final(app, job_id)

    assert JobStatus.done is record.status
    assert {"text": "é", "big": 10**30, "none": None} == record.value


def test_jobs_run_in_a_child_of_the_worker(app: PlainApp) -> None:
    """
    A job runs below the worker process, which lives beside this one.
    """
    with app.pool.spawn_worker().wait_ready() as worker:
        child, parent = final(app, submit(app, "pid")).value

        assert worker.pid == parent
        assert child in worker.pids
        assert os.getpid() not in worker.pids


def test_each_job_runs_once(app: PlainApp, tmp_path: Path) -> None:
    """
    29: two workers share many jobs, and each job runs exactly once.
    """
    ledger = tmp_path / "ledger"
    with app.pool.spawn_worker().wait_ready(), app.pool.spawn_worker().wait_ready():
        jobs = [submit(app, "note", {"path": str(ledger), "name": str(n)}) for n in range(60)]
        records = [final(app, job_id) for job_id in jobs]

    assert {JobStatus.done} == {record.status for record in records}
    assert 2 == len({record.worker for record in records})
    starts = [line for line in ledger.read_text().splitlines() if line.startswith("start")]
    assert sorted(f"start {n}" for n in range(60)) == sorted(starts)


def test_priority_and_order(app: PlainApp, tmp_path: Path) -> None:
    """
    56: higher priority first, and within one level the order of submission.
    """
    ledger = tmp_path / "ledger"
    for name, priority in [("a", 0), ("b", 0), ("c", 5), ("d", -1), ("e", 5)]:
        submit(app, "note", {"path": str(ledger), "name": name}, priority=priority)

    with app.pool.spawn_worker().wait_ready():
        wait_until(lambda: not any(app.job_store.counts().values()), message="an empty queue")

    starts = [line[6:] for line in ledger.read_text().splitlines() if line.startswith("start")]
    assert ["c", "e", "a", "b", "d"] == starts


def test_workers_take_only_their_queues(app: PlainApp) -> None:
    """
    56: a worker of some queues leaves the jobs of others alone.
    """
    with app.pool.spawn_worker(queues=["big", "huge"]).wait_ready():
        small, big, huge = (submit(app, queue=queue) for queue in ("default", "big", "huge"))
        final(app, big)
        final(app, huge)

        assert JobStatus.queued is app.pool.fetch_job(small).status
        assert [("big", "huge")] == [worker.queues for worker in app.job_store.workers()]


def test_apps_in_one_database_do_not_meet(app: PlainApp, tmp_path: Path) -> None:
    """
    70: a worker runs the jobs of its app only, though another uses the same database.
    """
    other = local_app(tmp_path, "other")
    foreign = submit(other)
    with app.pool.spawn_worker().wait_ready():
        final(app, submit(app))

        assert JobStatus.queued is other.pool.fetch_job(foreign).status
        assert 0 == other.pool.n_workers
    assert 1 == len(app.job_store.list_jobs(JobQuery()))
    other.pool.close()


def test_idle_worker_is_woken_at_once(tmp_path: Path) -> None:
    """
    A job starts long before the idle worker would look by itself.
    """
    pool = LocalWorkerPool(url=f"sqlite:///{tmp_path}/jobs.db", poll_interval=30)
    app = PlainApp(worker_pool=pool)
    with pool.spawn_worker().wait_ready():
        final(app, submit(app))
        times = []
        for _ in range(5):
            time.sleep(0.2)  # long enough for the worker to fall asleep
            started = time.monotonic()
            final(app, submit(app), timeout=5.0)
            times.append(time.monotonic() - started)
    pool.close()

    assert min(times) < 0.2
    assert max(times) < 5.0


def test_job_without_a_wake_up_is_found(app: PlainApp) -> None:
    """
    A job that nobody rang for, as from another machine, is found within the poll interval.
    """
    with app.pool.spawn_worker().wait_ready():
        final(app, submit(app))
        job_id = app.job_store.create(NewJob(pipeline="echo", backend="local")).record.id

        assert JobStatus.done is final(app, job_id, timeout=5.0).status


def test_scheduled_job_starts_by_itself(app: PlainApp) -> None:
    """
    55, 69: a job for later starts after its delay, though nobody looks it up.
    """
    with app.pool.spawn_worker().wait_ready():
        job_id = submit(app, delay=1)
        store = app.job_store
        assert JobStatus.deferred is store.get(job_id).status
        wait_until(lambda: store.get(job_id).status is JobStatus.done, message="the late job")

    record = store.get(job_id)
    assert record.started_at is not None
    assert (record.started_at - record.created_at).total_seconds() >= 1.0


def test_retry_after_a_killed_child(app: PlainApp) -> None:
    """
    33: a job that always kills its process fails after its attempts; the worker goes on.
    """
    with app.pool.spawn_worker().wait_ready() as worker:
        record = final(app, submit(app, "suicide", max_attempts=3))

        assert (JobStatus.failed, "attempts_exhausted", 3) == (
            record.status,
            record.reason,
            record.attempt,
        )
        assert JobStatus.done is final(app, submit(app)).status
        assert worker.alive


def test_queue_survives_a_restart_of_all(tmp_path: Path) -> None:
    """
    Jobs and results are there after every process that knew them is gone.
    """
    first = local_app(tmp_path)
    with first.pool.spawn_worker().wait_ready():
        done = final(first, submit(first, value=1)).id
    waiting = submit(first, value=2)
    first.pool.close()

    second = local_app(tmp_path)
    assert 1 == second.pool.fetch_job(done).value
    with second.pool.spawn_worker().wait_ready():
        assert 2 == final(second, waiting).value
    second.pool.close()


def test_killed_worker_leaves_no_orphan(app: PlainApp, tmp_path: Path) -> None:
    """
    31, 32: after kill -9 of the worker its child is gone, and a look-up settles the job.
    """
    settings = WorkerSettings(runner=RunnerSettings(lease=1.0), beat_ttl=1.0, beat_interval=0.3)
    ledger = tmp_path / "ledger"
    worker = spawn_worker(app.pool, settings=settings).wait_ready()
    job_id = submit(app, "note", {"path": str(ledger), "until": str(tmp_path / "never")})
    wait_until(ledger.exists, message="the start of the job")
    pids = worker.pids
    assert len(pids) >= 2

    worker.kill()

    wait_until(lambda: not any(map(process_alive, pids)), message="the end of the child")
    record = final(app, job_id)
    assert (JobStatus.failed, "worker_lost") == (record.status, record.reason)
    wait_until(lambda: app.pool.n_workers == 0, message="the worker to leave the list")
    assert -9 == worker.exit_code


def test_postgres(postgres_url: str) -> None:
    """
    The backend works over PostgreSQL as it does over SQLite.
    """
    pool = LocalWorkerPool(url=postgres_url)
    app = PlainApp(worker_pool=pool)
    with pool.spawn_worker().wait_ready(), pool.spawn_worker().wait_ready():
        jobs = [submit(app, value=n) for n in range(20)]
        assert list(range(20)) == [final(app, job_id).value for job_id in jobs]
        assert 2 == pool.n_workers
    assert 0 == pool.n_workers
    pool.close()


@pytest.mark.parametrize("isolation", ["warm", "fresh", "thread"])
def test_isolation(app: PlainApp, isolation: Isolation) -> None:
    """
    Jobs share a child, have one each, or run in the worker itself, as it was asked.
    """
    with app.pool.spawn_worker(isolation=isolation).wait_ready() as worker:
        pids = [final(app, submit(app, "pid")).value[0] for _ in range(2)]

        assert (isolation == "thread") == (pids[0] == worker.pid)
        assert (isolation == "fresh") == (pids[0] != pids[1])


def test_worker_forked_beside_threads(app: PlainApp) -> None:
    """
    An app that cannot be imported gets its worker in a program with threads, too.
    """
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    try:
        with app.pool.spawn_worker().wait_ready():
            assert JobStatus.done is final(app, submit(app)).status
    finally:
        gate.set()
        thread.join()
