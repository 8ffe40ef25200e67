"""
What a pool's worker does through its session, beside other people's work and trouble.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chariots_core.jobs import JobStatus, NewJob
from chariots_core.jobs.tick import tick
from chariots_core.workers import BaseWorkerPool, RunOutcome, SubmitRequest
from chariots_core.workers.contracts import RunnerSettings
from chariots_core.workers.session import WorkerSession, WorkerSettings
from chariots_core.workers.signals import StopSignals
from tests.local.app import PlainApp


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
