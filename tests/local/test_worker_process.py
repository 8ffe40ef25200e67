"""
The life of a worker process: ready, stopping, ordered, orphaned.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

import attrs
import pytest

from chariots_core.errors import BackendMisconfigured, BackendUnavailable
from chariots_core.jobs import JobStatus, NewJob
from chariots_core.local import LocalWorkerPool
from chariots_core.workers.contracts import Isolation, RunnerSettings
from chariots_core.workers.handle import WorkerProcess
from chariots_core.workers.process import EXIT_OK, EXIT_UNFINISHED
from chariots_core.workers.session import WorkerSession
from chariots_core.workers.settings import WorkerSettings
from chariots_core.workers.spawn import spawn_worker
from tests.local.app import PlainApp
from tests.support import ROOT, process_alive, wait_until


@pytest.fixture(name="isolation", params=["warm", "thread"])
def _isolation(request: pytest.FixtureRequest) -> Isolation:
    """
    With a job in a child, and in the worker itself, which has another thread on watch then.
    """
    chosen: Isolation = request.param
    return chosen


def quick(isolation: Isolation = "warm") -> WorkerSettings:
    """
    A worker that does everything soon.
    """
    runner = RunnerSettings(isolation=isolation, lease=2.0, housekeeping_interval=0.1)
    return WorkerSettings(beat_interval=0.2, beat_ttl=2.0, runner=runner)


@attrs.frozen
class Busy:
    """
    A job that runs until it is let go.
    """

    job_id: str
    ledger: Path
    gate: Path


def start_long_job(app: PlainApp, folder: Path, **options: int) -> Busy:
    """
    Submits a job that waits for a file, and waits until it runs.
    """
    busy = Busy("", folder / "ledger", folder / "gate")
    value = {"path": str(busy.ledger), "until": str(busy.gate), "name": "long"}
    job = NewJob(
        pipeline="note",
        backend="local",
        input_json=json.dumps(value),
        **options,  # type: ignore[arg-type]
    )
    busy = attrs.evolve(busy, job_id=app.pool.submit_job(job).id)
    wait_until(busy.ledger.exists, message="the start of the long job")
    return busy


def test_ready_means_listed(app: PlainApp) -> None:
    """
    50, 61: a worker that says it is ready is on the list; a stopped one is not.
    """
    with app.pool.spawn_worker().wait_ready() as worker:
        assert [worker.pid] == [known.pid for known in app.job_store.workers()]
        assert 1 == app.pool.n_workers
    assert 0 == app.pool.n_workers


def test_restarted_worker_has_a_new_id(app: PlainApp) -> None:
    """
    50: each start of a worker gives an id that was never used.
    """
    ids = []
    for _ in range(2):
        with app.pool.spawn_worker().wait_ready():
            ids += [known.id for known in app.job_store.workers()]

    assert 2 == len(set(ids))


def test_idle_worker_stops_at_once(app: PlainApp, isolation: Isolation) -> None:
    """
    SIGTERM ends an idle worker with exit code 0, without waiting for its poll interval.
    """
    worker = app.pool.spawn_worker(isolation=isolation).wait_ready()
    os.kill(worker.pid, signal.SIGTERM)

    assert EXIT_OK == worker.wait(timeout=2.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_busy_worker_finishes_its_job(
    app: PlainApp, isolation: Isolation, tmp_path: Path, number: int
) -> None:
    """
    46: asked to stop while busy, it finishes its job, takes no new one, and exits with 0.
    """
    worker = app.pool.spawn_worker(isolation=isolation).wait_ready()
    busy = start_long_job(app, tmp_path)
    os.kill(worker.pid, number)
    later = app.pool.execute_pipeline_async("echo", "1")
    assert worker.wait(timeout=0.3) is None
    busy.gate.touch()

    assert EXIT_OK == worker.wait(timeout=5.0)
    assert JobStatus.done is app.pool.fetch_job(busy.job_id).status
    assert JobStatus.queued is app.pool.fetch_job(later).status


def test_parent_may_ask_beside_a_signal(
    app: PlainApp, isolation: Isolation, tmp_path: Path
) -> None:
    """
    46: one signal and the word of the parent, in whatever order, end no job.
    """
    worker = app.pool.spawn_worker(isolation=isolation).wait_ready()
    busy = start_long_job(app, tmp_path)
    worker.term()
    os.kill(worker.pid, signal.SIGTERM)
    worker.term()
    assert worker.wait(timeout=0.3) is None
    busy.gate.touch()

    assert EXIT_OK == worker.wait(timeout=5.0)
    assert JobStatus.done is app.pool.fetch_job(busy.job_id).status


def test_end_of_a_block_ends_a_job(app: PlainApp, isolation: Isolation, tmp_path: Path) -> None:
    """
    48: a worker that is stopped with a bound of time settles the job that lasts longer.
    """
    worker = spawn_worker(app.pool, settings=quick(isolation)).wait_ready()
    busy = start_long_job(app, tmp_path)

    assert EXIT_UNFINISHED == worker.stop(timeout=0.2)
    assert "worker_lost" == app.job_store.get(busy.job_id).reason


def test_parent_may_order(app: PlainApp, isolation: Isolation, tmp_path: Path) -> None:
    """
    48: the parent can end a worker in the middle of a job, which is settled.
    """
    worker = spawn_worker(app.pool, settings=quick(isolation)).wait_ready()
    busy = start_long_job(app, tmp_path)
    worker.order()

    assert EXIT_UNFINISHED == worker.wait(timeout=5.0)
    assert "worker_lost" == app.job_store.get(busy.job_id).reason


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [(1, (JobStatus.failed, "worker_lost")), (2, (JobStatus.queued, "retrying"))],
)
def test_second_signal_is_an_order(
    app: PlainApp,
    isolation: Isolation,
    tmp_path: Path,
    attempts: int,
    expected: tuple[JobStatus, str],
) -> None:
    """
    48: a second SIGTERM ends the job, failed or queued by its attempts, with an exit code of 3.
    """
    worker = app.pool.spawn_worker(isolation=isolation).wait_ready()
    busy = start_long_job(app, tmp_path, max_attempts=attempts)
    pids = worker.pids
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(timeout=0.2) is None
    os.kill(worker.pid, signal.SIGTERM)

    assert EXIT_UNFINISHED == worker.wait(timeout=5.0)
    record = app.job_store.get(busy.job_id)
    assert expected == (record.status, record.reason)
    assert ["start long"] == busy.ledger.read_text().splitlines()
    assert not any(map(process_alive, pids))


def test_end_of_grace_is_an_order(app: PlainApp, isolation: Isolation, tmp_path: Path) -> None:
    """
    48: a job that outlasts the grace is ended as if there had been a second signal.
    """
    worker = spawn_worker(app.pool, settings=attrs.evolve(quick(isolation), grace=0.3)).wait_ready()
    busy = start_long_job(app, tmp_path)
    os.kill(worker.pid, signal.SIGTERM)

    assert EXIT_UNFINISHED == worker.wait(timeout=5.0)
    assert "worker_lost" == app.job_store.get(busy.job_id).reason


def test_busy_worker_stays_on_the_list(app: PlainApp, isolation: Isolation, tmp_path: Path) -> None:
    """
    A worker shows signs of life while it runs a job, and which job that is.
    """
    with spawn_worker(app.pool, settings=quick(isolation)).wait_ready():
        busy = start_long_job(app, tmp_path)
        known = wait_until(
            lambda: [w for w in app.job_store.workers() if w.state == "busy"], message="busy"
        )
        assert [busy.job_id] == [worker.job_id for worker in known]
        first = known[0].seen_at
        wait_until(
            lambda: [w for w in app.job_store.workers() if w.seen_at != first],
            message="another sign of life",
        )
        busy.gate.touch()


def test_busy_worker_settles_what_others_lost(
    app: PlainApp, isolation: Isolation, tmp_path: Path
) -> None:
    """
    43, 69: a worker that is busy settles the job of one that was killed.
    """
    settings = attrs.evolve(quick(isolation), tick_interval=0.2)
    victim = spawn_worker(app.pool, settings=settings).wait_ready()
    (tmp_path / "lost").mkdir()
    lost = start_long_job(app, tmp_path / "lost")
    with spawn_worker(app.pool, settings=settings).wait_ready():
        busy = start_long_job(app, tmp_path)
        victim.kill()
        store = app.job_store
        wait_until(lambda: store.get(lost.job_id).status.is_final, message="the lost job")

        assert "worker_lost" == store.get(lost.job_id).reason
        assert JobStatus.running is store.get(busy.job_id).status
        busy.gate.touch()


PARENT = f"""
    import sys, time
    sys.path.insert(0, {str(ROOT)!r})
    from pathlib import Path
    from tests.local.app import local_app

    app = local_app(Path(sys.argv[1]))
    worker = app.pool.spawn_worker(start_method=sys.argv[2]).wait_ready()
    print(*worker.pids, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_worker_dies_with_its_parent(tmp_path: Path, number: int) -> None:
    """
    61: a worker and its child end with the process that spawned it, however that ends.
    """
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            dedent(PARENT),
            str(tmp_path),
            "fork",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert all(map(process_alive, pids))
    parent.send_signal(number)
    parent.wait(timeout=10)

    wait_until(lambda: not any(map(process_alive, pids)), message=f"the end of {pids}")


def test_lifeline_ends_a_worker(app: PlainApp, isolation: Isolation, tmp_path: Path) -> None:
    """
    61: where the kernel does not see to it, the end of a pipe ends a worker, busy or idle.
    """
    spawned: list[WorkerProcess] = []

    def spawn() -> None:
        # From another thread, whose end must not be taken for the parent's.
        spawned.append(spawn_worker(app.pool, settings=quick(isolation), start_method="fork"))

    thread = threading.Thread(target=spawn)
    thread.start()
    thread.join()
    (worker,) = spawned
    worker.wait_ready()
    busy = start_long_job(app, tmp_path)
    assert worker._lifeline is not None
    os.close(worker._lifeline)
    worker._lifeline = None

    assert EXIT_UNFINISHED == worker.wait(timeout=5.0)
    assert "worker_lost" == app.job_store.get(busy.job_id).reason


def test_siblings_do_not_hold_the_lifeline(app: PlainApp) -> None:
    """
    61: a worker that was forked later does not keep an earlier one alive.
    """
    first = app.pool.spawn_worker(start_method="fork").wait_ready()
    with app.pool.spawn_worker(start_method="fork").wait_ready():
        assert first._lifeline is not None
        os.close(first._lifeline)
        first._lifeline = None

        assert EXIT_OK == first.wait(timeout=5.0)


def test_output_does_not_fill_a_pipe(app: PlainApp) -> None:
    """
    61: a worker that writes more than a pipe holds goes on; the handle has what it wrote.
    """

    class Loud(LocalWorkerPool):
        """
        Writes a megabyte before it works.
        """

        def run_worker(self, session: WorkerSession) -> None:
            print("x" * 1_000_000)
            print("last words", flush=True)
            super().run_worker(session)

    pool = Loud(url=app.pool.store_url)
    loud = PlainApp(worker_pool=pool)
    with pool.spawn_worker(start_method="fork").wait_ready() as worker:
        job_id = pool.execute_pipeline_async("echo", "1")
        wait_until(lambda: pool.fetch_job(job_id).status.is_final, message="the job")
        assert "last words" in worker.output
    assert "last words" in worker.output
    loud.pool.close()


def test_worker_that_cannot_start_says_why(tmp_path: Path, isolation: Isolation) -> None:
    """
    A worker that ends before it is ready is an error that quotes what it wrote.
    """

    class Broken(LocalWorkerPool):
        """
        Fails as a worker.
        """

        def run_worker(self, session: WorkerSession) -> None:
            raise RuntimeError("the queue is on fire")

    pool = Broken(url=f"sqlite:///{tmp_path}/jobs.db")
    PlainApp(worker_pool=pool)
    worker = pool.spawn_worker(isolation=isolation, start_method="fork")

    with pytest.raises(BackendUnavailable, match="the queue is on fire"):
        worker.wait_ready(timeout=10.0)
    assert 1 == worker.exit_code
    with pytest.raises(BackendUnavailable, match="the queue is on fire"):
        worker.wait_ready(timeout=0.0)
    pool.close()


def test_spawn_needs_an_importable_app(app: PlainApp) -> None:
    """
    An app that no new process can import is refused for start_method='spawn', with the way out.
    """
    with pytest.raises(BackendMisconfigured, match="start_method='fork'"):
        app.pool.spawn_worker(start_method="spawn")


def test_store_that_is_away_at_the_start(tmp_path: Path, isolation: Isolation) -> None:
    """
    42: a worker whose store does not answer yet is not ready, waits, and becomes ready.
    """
    folder = tmp_path / "later"
    folder.write_text("a file where a folder should be")
    pool = LocalWorkerPool(url=f"sqlite:///{folder}/jobs.db")
    app = PlainApp(worker_pool=pool)
    worker = spawn_worker(pool, settings=quick(isolation))
    with worker:
        with pytest.raises(BackendUnavailable, match="is not yet ready"):
            worker.wait_ready(timeout=1.0)
        assert "tries again" in worker.output
        folder.unlink()
        folder.mkdir()
        worker.wait_ready(timeout=10.0)
        job_id = pool.execute_pipeline_async("echo", "1")
        wait_until(lambda: app.pool.fetch_job(job_id).status.is_final, message="the job")
    pool.close()


def test_signals_at_every_moment_of_the_end(app: PlainApp, isolation: Isolation) -> None:
    """
    48: a worker that is told to stop again and again while it ends, ends with exit code 0 or 3.
    """
    for _ in range(5):
        worker = app.pool.spawn_worker(isolation=isolation).wait_ready()
        app.pool.execute_pipeline_async("echo", "1")
        while worker.alive:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGTERM)
            time.sleep(0.001)  # not to starve it

        assert worker.exit_code in {EXIT_OK, EXIT_UNFINISHED}, worker.output
        assert "Traceback" not in worker.output
