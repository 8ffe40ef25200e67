"""
What a pool's worker does through its session, beside other people's work and trouble.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from chariots_core import workers
from chariots_core.jobs import JobStatus, NewJob, lifecycle
from chariots_core.jobs.tick import tick
from chariots_core.local import LocalWorkerPool
from chariots_core.workers import (
    BaseWorkerPool,
    RunnerSettings,
    RunOutcome,
    StopSignals,
    SubmitRequest,
    WorkerSession,
    WorkerSettings,
)
from tests.local.app import PlainApp
from tests.support import wait_until


class SlowPool(BaseWorkerPool):
    """
    A queue that takes a fifth of a second for each message once it is told to.
    """

    slow = False

    def __init__(self, folder: Path) -> None:
        self.store_url = f"sqlite:///{folder}/jobs.db"

    def submit(self, request: SubmitRequest) -> None:
        time.sleep(0.2 if self.slow else 0.0)


def nap(value: float) -> float:
    """
    Sleeps for so many seconds.
    """
    time.sleep(value)
    return value


@contextmanager
def session_of(app: PlainApp, settings: WorkerSettings | None = None) -> Iterator[WorkerSession]:
    """
    A session in this very process, which may get signals.
    """
    with StopSignals() as signals:
        session = WorkerSession(
            app.pool,
            settings=settings or WorkerSettings(runner=RunnerSettings(start_method="fork")),
            signals=signals,
        )
        try:
            yield session
        finally:
            session.close()
            app.pool.close()


def test_slow_hand_overs_cost_no_lease(tmp_path: Path) -> None:
    """
    A job goes on while its worker hands over many others to a slow queue: its lease is renewed.
    """
    pool = SlowPool(tmp_path)
    app = PlainApp(worker_pool=pool, pipelines={"nap": nap})
    job_id = pool.execute_pipeline_async("nap", "4")
    for _ in range(40):
        pool.submit_job(NewJob(pipeline="nap", backend=pool.name, resend_after=0.01))
    pool.slow = True
    over = threading.Event()

    def settle_from_elsewhere() -> None:
        while not over.wait(0.05):
            tick(app.job_store, dispatch=print, publish=print, job_id=job_id)

    settings = WorkerSettings(
        tick_interval=0.1,
        runner=RunnerSettings(lease=3.0, housekeeping_interval=0.1, start_method="fork"),
    )
    with session_of(app, settings) as session:
        assert session.keep_running()
        elsewhere = threading.Thread(target=settle_from_elsewhere)
        elsewhere.start()
        try:
            outcome = session.run(job_id)
        finally:
            over.set()
            elsewhere.join()
        record = app.job_store.get(job_id)

    assert (RunOutcome.DONE, JobStatus.done) == (outcome, record.status)


def test_store_out_of_reach_hands_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    36, 49: while the job store is away, a message is handed back after a pause; once it is
    there again the job runs.
    """
    pool = SlowPool(tmp_path)
    app = PlainApp(worker_pool=pool, pipelines={"nap": nap})
    job_id = pool.execute_pipeline_async("nap", "0")
    with session_of(app) as session:
        assert session.keep_running()
        pool.close()
        (tmp_path / "jobs.db").rename(tmp_path / "away.db")
        (tmp_path / "jobs.db").mkdir()
        began = time.monotonic()
        outcomes = [session.run(job_id)]
        paused = time.monotonic() - began
        (tmp_path / "jobs.db").rmdir()
        (tmp_path / "away.db").rename(tmp_path / "jobs.db")
        outcomes.append(session.run(job_id))

    assert [RunOutcome.HANDED_BACK, RunOutcome.DONE] == outcomes
    assert 0.4 < paused
    assert "cannot claim a job" in caplog.text


def test_lost_claim_is_handed_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    A job that the store has claimed for a worker that never heard of it waits for
    nobody's lease: the worker finds it, and the attempt does not count. What
    others run is left to them.
    """
    pool = SlowPool(tmp_path)
    app = PlainApp(worker_pool=pool, pipelines={"nap": nap})
    jobs = [pool.execute_pipeline_async("nap", "0") for _ in range(2)]
    with session_of(app) as session:
        assert session.keep_running()
        for job_id, worker in zip(jobs, (session.worker_id, "somebody else"), strict=True):
            assert lifecycle.claim(app.job_store, job_id, worker=worker, lease=60.0) is not None

        session.doubt_claims()
        assert session.keep_running()

        found = [app.job_store.get(job_id) for job_id in jobs]
        assert [(JobStatus.queued, 0), (JobStatus.running, 1)] == [
            (record.status, record.attempt) for record in found
        ]
        assert RunOutcome.DONE is session.run(jobs[0])
    assert jobs[0] in caplog.text


def test_attempt_that_began_is_no_lost_claim(tmp_path: Path) -> None:
    """
    One whose outcome could not be written has run: it counts, and its lease settles it.
    """
    pool = SlowPool(tmp_path)
    away = tmp_path / "away.db"

    def take_store_away(_: object) -> str:
        pool.close()
        (tmp_path / "jobs.db").rename(away)
        (tmp_path / "jobs.db").mkdir()
        return "ran"

    app = PlainApp(worker_pool=pool, pipelines={"away": take_store_away})
    job_id = pool.execute_pipeline_async("away", "0")
    runner = RunnerSettings(isolation="thread", commit_patience=0.1, lease=60.0)
    with session_of(app, WorkerSettings(runner=runner)) as session:
        assert session.keep_running()
        assert RunOutcome.STALE is session.run(job_id)
        (tmp_path / "jobs.db").rmdir()
        away.rename(tmp_path / "jobs.db")

        session.doubt_claims()
        assert session.keep_running()

        record = app.job_store.get(job_id)
    assert (JobStatus.running, 1) == (record.status, record.attempt)


def test_nothing_is_claimed_ahead_while_claims_are_in_doubt(tmp_path: Path) -> None:
    """
    What is claimed ahead would be taken for a lost claim then.
    """
    pool = SlowPool(tmp_path)
    app = PlainApp(worker_pool=pool, pipelines={"nap": nap})
    jobs = [pool.execute_pipeline_async("nap", "0") for _ in range(2)]
    asked: list[str] = []
    with session_of(app) as session:
        assert session.keep_running()
        session.doubt_claims()
        assert RunOutcome.DONE is session.run(jobs[0], ahead=lambda: asked.append("in doubt"))
        assert session.keep_running()
        assert RunOutcome.DONE is session.run(jobs[1], ahead=lambda: asked.append("sure"))

    assert ["sure"] == asked


def test_child_that_died_is_replaced_ahead(tmp_path: Path) -> None:
    """
    A worker whose child died has another one before it takes a job, not after.
    """
    app = PlainApp(worker_pool=LocalWorkerPool(url=f"sqlite:///{tmp_path}/jobs.db"))
    others = set(psutil.Process().children())
    with session_of(app) as session:
        assert session.keep_running()
        (before,) = set(psutil.Process().children()) - others
        session.run(app.pool.execute_pipeline_async("suicide", "null"))
        assert session.keep_running()
        (after,) = set(psutil.Process().children()) - others

        assert before.pid != after.pid
        job_id = app.pool.execute_pipeline_async("pid", "null")
        assert RunOutcome.DONE is session.run(job_id)
        assert [after.pid, os.getpid()] == app.job_store.get(job_id).value


def test_nothing_is_taken_once_asked_to_stop(tmp_path: Path) -> None:
    """
    46: after SIGTERM each message that is still offered is handed back, and its job waits.
    """
    pool = SlowPool(tmp_path)
    app = PlainApp(worker_pool=pool, pipelines={"nap": nap})
    jobs = [pool.execute_pipeline_async("nap", "0") for _ in range(3)]
    with session_of(app) as session:
        os.kill(os.getpid(), signal.SIGTERM)
        outcomes = [session.run(job_id) for job_id in jobs]
        states = {app.job_store.get(job_id).status for job_id in jobs}

    assert ([RunOutcome.HANDED_BACK] * 3, {JobStatus.queued}) == (outcomes, states)


@pytest.mark.parametrize("job_id", ["", "a:b", "no-such-job", "x" * 65])
def test_no_job_is_dropped(tmp_path: Path, job_id: str) -> None:
    """
    27: an id that no job has, or could have, is to be dropped.
    """
    app = PlainApp(worker_pool=SlowPool(tmp_path), pipelines={"nap": nap})
    with session_of(app) as session:
        assert RunOutcome.SKIPPED_DUPLICATE is session.run(job_id)


def test_engine_with_a_loop_of_its_own(tmp_path: Path) -> None:
    """
    50, 61: an engine that consumes by itself has a worker on the list, and jobs of others
    settled, by `housekeep` alone; it takes the session's word for when to stop.
    """
    pool = SlowPool(tmp_path)
    app = PlainApp(worker_pool=pool, pipelines={"nap": nap})
    lost = pool.execute_pipeline_async("nap", "0")
    lifecycle.claim(app.job_store, lost, worker="dead", lease=0.0)
    job_id = pool.execute_pipeline_async("nap", "0")
    signals = StopSignals()
    runner = RunnerSettings(start_method="fork")
    settings = WorkerSettings(tick_interval=0.01, runner=runner)
    with WorkerSession(pool, settings=settings, signals=signals) as session:

        def settled() -> bool:
            session.housekeep()
            return app.job_store.get(lost).status.is_final

        wait_until(settled, message="the lost job")
        known = [worker.id for worker in app.job_store.workers()]
        outcomes = [session.run(job_id)]
        signals.request()
        outcomes.append(session.run(job_id))

    assert [session.worker_id] == known
    assert [] == app.job_store.workers()
    assert [RunOutcome.DONE, RunOutcome.HANDED_BACK] == outcomes
    pool.close()


def test_names_for_engines() -> None:
    """
    Whoever writes an engine's worker finds all parts in one place, and nothing else.
    """
    assert set(workers.__all__) <= set(dir(workers)) | set(workers._LATE)
    assert [getattr(workers, name).__name__ for name in workers._LATE] == list(workers._LATE)
    with pytest.raises(AttributeError, match="telepathy"):
        _ = workers.telepathy
