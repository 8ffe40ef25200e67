"""
``chariots worker``: one worker, or several that are kept alive.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import chdir, closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from chariots_core.app import App
from chariots_core.jobs import JobStatus, NewJob
from chariots_core.workers.contracts import RunnerSettings
from chariots_core.workers.settings import WorkerSettings
from chariots_core.workers.spawn import start_workers
from tests.cli.conftest import Project, ended
from tests.support import free_port, process_alive, wait_until


@contextmanager
def workers(
    project: Project, app: App, *arguments: str, n: int = 1, spec: str = "project:app"
) -> Iterator[subprocess.Popen[bytes]]:
    """
    The command, with *n* workers on the list.
    """
    process = project.start("worker", spec, *arguments)
    try:
        wait_until(lambda: process.poll() is not None or alive(app) == n, 20, lambda: project.log)
        assert process.poll() is None, project.log
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def alive(app: App) -> int:
    """
    How many workers are on the list.
    """
    return len(app.job_store.workers())


def submit(app: App, pipeline: str = "echo", **options: int) -> str:
    """
    A job of the project.
    """
    assert app.pool is not None
    job = NewJob(pipeline=pipeline, backend="local", input_json="[1]", **options)  # type: ignore[arg-type]
    return app.pool.submit_job(job).id


def hold(project: Project, app: App, **options: int) -> str:
    """
    A job that runs until the file ``gate`` is there.
    """
    job_id = submit(app, "hold", **options)
    wait_until((project.folder / "started").exists, message=lambda: project.log)
    return job_id


def done(app: App, job_id: str) -> bool:
    """
    Whether a job is done.
    """
    return app.job_store.get(job_id).status is JobStatus.done


def test_worker_runs_jobs_of_an_importable_app(project: Project, app: App) -> None:
    """
    46: an app in the current folder is found; its jobs run; SIGTERM gives exit code 0.
    """
    with workers(project, app) as process:
        job_id = submit(app)
        wait_until(lambda: done(app, job_id), message=lambda: project.log)
        process.terminate()

        assert 0 == ended(process)
    assert 0 == alive(app)
    assert "has stopped" in project.log


def test_spawned_children(project: Project, app: App) -> None:
    """
    Children that begin in a new interpreter run jobs, and are replaced as often as it says.
    """
    with workers(project, app, "--start-method", "spawn", "--max-jobs", "1") as process:
        pids = []
        for _ in range(2):
            job_id = submit(app, "pid")
            wait_until(lambda j=job_id: done(app, j), 20, lambda: project.log)  # type: ignore[misc]
            pids.append(app.job_store.get(job_id).value)
        process.terminate()

        assert 0 == ended(process)
    assert 2 == len(set(pids))


def test_app_without_an_attribute(project: Project, app: App) -> None:
    """
    A module alone names its attribute `app`, for the command and for the children it spawns.
    """
    with workers(project, app, "--start-method", "spawn", spec="project"):
        job_id = submit(app)

        wait_until(lambda: done(app, job_id), timeout=20, message=lambda: project.log)


def test_isolation_that_the_backend_lacks(project: Project) -> None:
    """
    8: a way of running jobs that the backend does not declare is refused before any is taken.
    """
    (project.folder / "warm.py").write_text(
        "from project import *\n"
        "from chariots_core.local import LocalWorkerPool\n"
        "class Pool(LocalWorkerPool):\n"
        "    capabilities = LocalWorkerPool.capabilities.without('thread')\n"
        "app = PipelinesServer(pipelines, worker_pool=Pool(), import_name='warm')\n"
    )
    told = project.run("worker", "warm:app", "--isolation", "thread", code=2).stderr

    assert "['fresh', 'warm']" in told


@pytest.mark.parametrize("by_signal", [True, False])
def test_stop_while_a_child_imports(project: Project, by_signal: bool) -> None:
    """
    46: a worker that is asked to stop while its child imports the app ends at once, with 0.
    """
    (project.folder / "slow.py").write_text(
        "import pathlib, sys, time\n"
        "if 'spawned' in ' '.join(sys.orig_argv):\n"
        "    pathlib.Path('importing').touch()\n"
        "    time.sleep(60)\n"
        "from project import *\n"
    )
    settings = WorkerSettings(runner=RunnerSettings(start_method="spawn"))
    with chdir(project.folder), start_workers("slow:app", settings=settings, quiet=True) as worker:
        wait_until((project.folder / "importing").exists, 20, lambda: worker.output)
        if by_signal:
            os.kill(worker.pid, signal.SIGTERM)
        else:
            worker.term()

        assert 0 == worker.wait(timeout=5.0), worker.output
        assert not worker.ready


def test_interrupt_while_busy(project: Project, app: App) -> None:
    """
    46: Ctrl-C lets the job come to its end.
    """
    with workers(project, app) as process:
        job_id = hold(project, app)
        process.send_signal(signal.SIGINT)
        told = f"finishing job {job_id}; Ctrl-C again ends it now\n"
        wait_until(lambda: told in project.log, message=lambda: project.log)
        assert process.poll() is None
        (project.folder / "gate").touch()

        assert 0 == ended(process)
    assert done(app, job_id)
    assert 1 == project.log.count("finishing")


def test_interrupt_twice_while_busy(project: Project, app: App) -> None:
    """
    48: a second Ctrl-C ends the job; the log names it, and the exit code is 3.
    """
    with workers(project, app) as process:
        job_id = hold(project, app)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: "finishing" in project.log, message=lambda: project.log)
        process.send_signal(signal.SIGINT)

        assert 3 == ended(process)
    assert f"has stopped, and left unfinished: job {job_id}\n" in project.log


def test_interrupt_while_idle(project: Project, app: App) -> None:
    """
    46: a worker without a job has nothing to finish, and ends without a word of it.
    """
    with workers(project, app) as process:
        process.send_signal(signal.SIGINT)

        assert 0 == ended(process)
    assert "finishing" not in project.log


def test_log_says_where_the_jobs_are(project: Project, app: App) -> None:
    """
    A worker's first line names its job store, so that one in another folder is noticed.
    """
    with workers(project, app):
        pass

    assert f"they are kept in sqlite:///{project.folder}/.chariots/jobs.db\n" in project.log


def test_log_keeps_the_password(project: Project) -> None:
    """
    A store out of reach is named as well, without the secrets of its address.
    """
    url = f"postgresql+psycopg://me:geheim@127.0.0.1:{free_port()}/jobs"
    with project.start("worker", "project:app", CHARIOTS_JOB_STORE=url) as process:
        try:
            wait_until(lambda: "tries again" in project.log, 20, lambda: project.log)
        finally:
            process.kill()

    assert "they are kept in postgresql://me:***@127.0.0.1" in project.log
    assert "geheim" not in project.log


def test_log_has_the_traceback_of_a_failed_job(project: Project, app: App) -> None:
    """
    21: what a job raised is in the worker's log: id, pipeline, node and traceback.
    """
    with workers(project, app):
        job_id = submit(app, "fail")
        wait_until(lambda: app.job_store.get(job_id).status.is_final, message=lambda: project.log)

    (line,) = [line for line in project.log.splitlines() if job_id in line]
    told = project.log.split(line)[1]
    assert " ERROR " in line
    assert "of pipeline 'fail' failed in node 'fail' (user_error)" in line
    assert line.endswith("Traceback (most recent call last):")
    assert "in execute\n" in told
    assert "ValueError: I do not like [1]\n" in told


@pytest.mark.parametrize("grace", [True, False])
def test_order_to_stop_while_the_store_is_locked(project: Project, app: App, grace: bool) -> None:
    """
    48: the end of the grace and a second signal end the job and the worker, though the store
    can be told of neither.
    """
    with workers(project, app, *(["--grace", "0.5"] if grace else [])) as process:
        hold(project, app)
        jobs = project.folder / ".chariots" / "jobs.db"
        (child,) = psutil.Process(process.pid).children()
        with closing(sqlite3.connect(jobs, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            process.terminate()
            if not grace:
                process.send_signal(signal.SIGINT)

            wait_until(lambda: not process_alive(child.pid), 3.0, lambda: project.log)
            assert 3 == process.wait(5.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere:app"], ["'nowhere'", "package.module:attribute"]),
        (["project:nothing"], ["'nothing'"]),
        (["broken:app"], ["'broken'", "a_library_that_is_not_there", 'broken.py", line 1']),
        (["twice:app"], ["two pipelines are named", 'twice.py", line 4']),
        (["idle:value"], ["int", "no app"]),
        (["idle:app"], ["has no worker backend", "CHARIOTS_WORKER_POOL"]),
        (["project:app", "--isolation", "magic"], ["magic", "warm"]),
        (["project:app", "--processes", "0"], ["0"]),
        (["project:app", "--grace", "-1"], ["-1"]),
        (["project:app", "-q", ""], ["--queue", "a queue has a name"]),
        ([], ["APP"]),
    ],
)
def test_wrong_input(project: Project, arguments: list[str], words: list[str]) -> None:
    """
    What is written wrongly gives exit code 2 and a sentence, not a traceback.
    """
    told = project.run("worker", *arguments, code=2).stderr

    assert [] == [word for word in words if word not in told]


def test_backend_of_the_environment(project: Project) -> None:
    """
    A backend that the environment names and nobody has installed is named, with what there is.
    """
    told = project.run("worker", "idle:app", code=2, CHARIOTS_WORKER_POOL="locl").stderr

    assert "did you mean 'local'?" in told


def test_several_workers_share_and_stop(project: Project, app: App) -> None:
    """
    Several workers are started by one command, and stop with it.
    """
    with workers(project, app, "-n", "2", n=2) as process:
        jobs = [submit(app) for _ in range(10)]
        wait_until(lambda: all(done(app, job_id) for job_id in jobs), message=lambda: project.log)
        pids = [worker.pid for worker in app.job_store.workers()]
        assert process.pid not in pids
        process.terminate()

        assert 0 == ended(process)
    assert 0 == alive(app)
    assert not any(map(process_alive, pids))


def test_dead_worker_is_replaced(project: Project, app: App) -> None:
    """
    50: a worker that was killed is replaced by one with a new id; the other goes on.
    """
    with workers(project, app, "-n", "2", n=2) as process:
        before = {worker.id: worker.pid for worker in app.job_store.workers()}
        victim, survivor = before
        os.kill(before[victim], signal.SIGKILL)
        wait_until(
            lambda: {worker.id for worker in app.job_store.workers()} - set(before),
            message=lambda: project.log,
        )
        pids = {worker.id: worker.pid for worker in app.job_store.workers()}

        assert before[survivor] == pids[survivor]
        assert "another one starts" in project.log
        process.terminate()
        assert 0 == ended(process)


def test_workers_die_with_the_command(project: Project, app: App) -> None:
    """
    61: after kill -9 of the command nothing of it is left, in the middle of a job.
    """
    with workers(project, app, "-n", "2", n=2) as process:
        hold(project, app)
        pids = [worker.pid for worker in app.job_store.workers()]
        children = [int(p) for pid in pids for p in children_of(pid)]
        process.kill()
        process.wait()

        wait_until(
            lambda: not any(map(process_alive, [*pids, *children])), message=f"{pids} {children}"
        )


def test_second_signal_ends_all(project: Project, app: App) -> None:
    """
    48: a second SIGTERM to the command ends its workers in the middle of a job, exit code 3.
    """
    with workers(project, app, "-n", "2", n=2) as process:
        job_id = hold(project, app)
        process.terminate()
        wait_until(lambda: alive(app) == 1, message=lambda: project.log)
        wait_until(
            lambda: "finishing what is under way" in project.log, message=lambda: project.log
        )
        process.terminate()

        assert 3 == ended(process)
    assert "worker_lost" == app.job_store.get(job_id).reason
    assert 1 == project.log.count("finishing")
    assert f"left unfinished: job {job_id}\n" in project.log


def test_signal_to_all_at_once(project: Project, app: App) -> None:
    """
    46: a service manager that signals the command and all of its workers at once ends no job.
    """
    with workers(project, app, "-n", "2", n=2) as process:
        job_id = hold(project, app)
        for pid in [process.pid, *(worker.pid for worker in app.job_store.workers())]:
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: alive(app) == 1, message=lambda: project.log)
        (project.folder / "gate").touch()

        assert 0 == ended(process)
    assert done(app, job_id)


def test_workers_that_cannot_begin(project: Project) -> None:
    """
    Where a worker fails before it is ready, the command ends instead of trying for ever.
    """
    (project.folder / "hopeless.py").write_text(
        "from project import *\n"
        "from chariots_core.local import LocalWorkerPool\n"
        "class Pool(LocalWorkerPool):\n"
        "    def run_worker(self, session):\n"
        "        raise RuntimeError('out of luck')\n"
        "app = PipelinesServer(pipelines, worker_pool=Pool(), import_name='hopeless')\n"
    )
    process = project.start("worker", "hopeless:app", "-n", "2")

    assert 1 == ended(process, timeout=20)
    assert "out of luck" in project.log


@pytest.mark.parametrize("processes", [1, 2])
def test_started_by_a_program(
    project: Project, app: App, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    61: a program starts the command as its child, and knows when all workers are ready.
    """
    monkeypatch.chdir(project.folder)
    monkeypatch.syspath_prepend(str(project.folder))
    settings = WorkerSettings(queues=("default", "big"))
    with start_workers("project:app", processes=processes, settings=settings, quiet=True) as handle:
        handle.wait_ready()
        assert [("default", "big")] * processes == [w.queues for w in app.job_store.workers()]
        job_id = submit(app)
        wait_until(lambda: done(app, job_id), message=lambda: handle.output)
    assert 0 == handle.exit_code
    assert 0 == alive(app)


def test_spawned_worker(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    61: an importable app spawns a worker in a new interpreter, with all its settings.
    """
    monkeypatch.chdir(project.folder)
    code = """
from chariots_core.app import load_app
from chariots_core.jobs import NewJob
from tests.support import wait_until

app = load_app("project:app")
with app.pool.spawn_worker(queues=["big"], isolation="thread", start_method="spawn") as worker:
    worker.wait_ready()
    (known,) = app.job_store.workers()
    job_id = app.submit("echo", [1], queue="big").record.id
    wait_until(lambda: app.fetch_job(job_id).status.is_final)
    record = app.fetch_job(job_id)
    print(known.queues == ("big",), known.pid == worker.pid, len(worker.pids), record.value)
print(worker.exit_code)
"""
    script = project.folder / "script.py"
    script.write_text(code)
    told = subprocess.run(
        [project.command()[0], str(script)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert "True True 1 [1]\n0\n" == told.stdout, told.stderr


def test_settings_travel_whole() -> None:
    """
    Every setting of a worker survives the way to a new interpreter.
    """
    settings = WorkerSettings(
        queues=("a", "b"), grace=3.0, tick_interval=0.1, runner=RunnerSettings(isolation="fresh")
    )

    assert settings == WorkerSettings.from_json(settings.to_json())


def children_of(pid: int) -> list[str]:
    """
    The children of a process.
    """
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
