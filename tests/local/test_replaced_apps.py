"""
An app that is made anew in its process, as a cell of a notebook makes it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.notebook import play


@pytest.mark.parametrize("workers", ["SPAWNED", "CONTEXT", "SPAWNED, CONTEXT"])
def test_every_job_runs_with_the_newest_classes(tmp_path: Path, workers: str) -> None:
    """
    A cell that is run three times leaves three apps and their workers: of twelve jobs,
    from all three apps, the newest classes run each.
    """
    found, log = play(
        tmp_path,
        f"""
apps = [run_cell(version, {workers}) for version in (1, 2, 3)]
say(*results(apps[-1], [submit(app) for app in apps for _ in range(4)]))
""",
    )

    assert ["3"] * 12 == found
    assert "app 'notebook' made at <cell 3>" not in log
    assert 2 == log.count("WARNING app '__main__' made at <cell ")


def test_the_line_names_both_apps_and_the_remedy(tmp_path: Path) -> None:
    """
    One line tells which app replaces which, how many workers stop, and what to do if both
    are wanted.
    """
    _, log = play(tmp_path, "run_cell(1, SPAWNED); run_cell(2); say()")

    (line,) = [line for line in log.splitlines() if "replaces" in line]
    assert line == (
        "WARNING app '__main__' made at <cell 2>:27 replaces the one made at <cell 1>:27: jobs "
        "run with its code from now on, and 1 older worker(s) stop after the job at hand; if "
        "both are meant to run, give one of them another name"
    )


def test_an_older_worker_finishes_the_job_at_hand(tmp_path: Path) -> None:
    """
    A job that runs as the app is made anew ends with the old classes, and its worker then.
    """
    found, _ = play(
        tmp_path,
        """
from pathlib import Path

old = run_cell(1, SPAWNED)
older_worker = notebook["worker"]
held = submit(old, "hold", "begun")
wait_until(lambda: Path("begun").exists())
new = run_cell(2, SPAWNED)
after = submit(new)
wait_until(lambda: new.fetch_job(after).value_json, 30)
Path("gate").touch()
say(*results(new, [held, after]), older_worker.wait(20))
""",
    )

    assert ["1", "2", 0] == found


def test_queued_jobs_of_the_older_app_run_with_the_newest_classes(tmp_path: Path) -> None:
    """
    What was submitted before the app was made anew, and has not begun, the new workers run.
    """
    found, _ = play(
        tmp_path,
        """
ids = [submit(run_cell(version)) for version in (1, 2, 3) for _ in range(2)]
exec(SPAWNED, notebook)
say(*results(notebook["app"], ids))
""",
    )

    assert ["3"] * 6 == found


def test_an_older_app_still_works(tmp_path: Path) -> None:
    """
    It runs pipelines in process with its own classes, and a worker that is started from it
    runs the newest.
    """
    found, _ = play(
        tmp_path,
        """
old, new = run_cell(1), run_cell(2)
with old.pool.spawn_worker(start_method="fork") as worker:
    ids = [submit(old), submit(new)]
    say(old.run("which", 0).value, new.run("which", 0).value, *results(old, ids))
""",
    )

    assert [1, 2, "2", "2"] == found


def test_a_context_of_the_older_app_goes_over_to_the_new_one(tmp_path: Path) -> None:
    """
    A context that was entered for the first app has workers of the last one, and ends them.
    """
    found, _ = play(
        tmp_path,
        """
with WorkerContext(run_cell(1), processes=2) as context:
    before = {worker.pid for worker in context.workers}
    new = run_cell(2)
    values = results(new, [submit(new) for _ in range(3)])
    after = list(context.workers)
say(values, len({worker.pid for worker in after} - before), [w.alive for w in after])
""",
    )

    values, number, alive = found
    assert (["2"] * 3, 2) == (values, number)
    assert not any(alive)


def test_closing_the_newest_app_gives_the_older_one_back_its_jobs(tmp_path: Path) -> None:
    """
    Once the newer app is closed, workers run the code of the one before.
    """
    found, _ = play(
        tmp_path,
        """
old, new = run_cell(1), run_cell(2)
states = [old.is_replaced]
new.close()
states.append(old.is_replaced)
exec(SPAWNED, {"app": old})
say(states, *results(old, [submit(old)]))
""",
    )

    assert [[True, False], "1"] == found


@pytest.mark.parametrize("differs", ['"pipelines"', '"notebook", "jobs"', '"notebook", None'])
def test_apps_that_share_no_jobs_leave_each_other_alone(tmp_path: Path, differs: str) -> None:
    """
    Another name, another job store, or no workers at all: nothing is replaced.
    """
    found, log = play(
        tmp_path,
        f"""
from chariots_core.app import App
from chariots_core.testing import TestOpStoreClient

def make(name, store="mine"):
    pool = store and {{"backend": "local", "url": f"sqlite:///{{store}}.db"}}
    return App(name, [], op_store=TestOpStoreClient("ops"), worker_pool=pool)

first = make("notebook")
with first.pool.spawn_worker(start_method="fork") as worker:
    worker.wait_ready()
    second = make({differs})
    say(first.is_replaced, second.is_replaced, worker.wait(0.3))
""",
    )

    assert [False, False, None] == found
    assert "replaces" not in log


def test_a_program_that_imports_itself_is_not_replaced(tmp_path: Path) -> None:
    """
    A module that is the program and is imported besides makes its app twice, from one
    source: the workers of the first go on.
    """
    (tmp_path / "shop.py").write_text(
        """
import json

from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.server import PipelinesServer


class One(BaseOp):
    def execute(self, value):
        import shop

        return 1


nodes = [Node(One(), ["__pipeline_input__"], "__pipeline_output__")]
app = PipelinesServer([Pipeline(nodes, "one")], worker_pool="local").chariots

if __name__ == "__main__":
    with app.pool.spawn_worker(start_method="fork", isolation="thread") as worker:
        app.run("one", 0)
        ids = [app.submit("one", 0).record.id for _ in range(3)]
        while any(app.job_store.counts().values()):
            worker.wait(0.01)
        values = [app.fetch_job(job_id).value_json for job_id in ids]
        print(json.dumps([values, app.is_replaced, worker.alive]))
"""
    )
    done = subprocess.run(
        [sys.executable, "shop.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert [["1"] * 3, False, True] == json.loads(done.stdout), done.stderr


def test_a_session_in_the_process_claims_nothing_more(tmp_path: Path) -> None:
    """
    A worker that is a thread of this process ends once its app is replaced.
    """
    found, _ = play(
        tmp_path,
        """
import threading

from chariots_core.workers import RunnerSettings, WorkerSettings
from chariots_core.workers.process import run_worker_process

settings = WorkerSettings(runner=RunnerSettings(start_method="fork"))
codes = []
old = run_cell(1)
ready = threading.Event()
thread = threading.Thread(
    target=lambda: codes.append(run_worker_process(old.pool, settings, on_ready=ready.set))
)
thread.start()
ready.wait(20)
new = run_cell(2)
thread.join(20)
job_id = submit(new)
states = [new.fetch_job(job_id).status.value, codes]
exec(SPAWNED, notebook)
say(*states, *results(new, [job_id]))
""",
    )

    assert ["queued", [0], "2"] == found
