"""
What holds across real processes that share one store.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from chariots_core.op_store import leases
from tests.support import ROOT, wait_until
from tests.unit.op_store.conftest import Place
from tests.unit.op_store.kit import App, open_store


def start_at(url: str, folder: str, moment: float) -> dict[str, Any]:
    """
    What a web process does when it starts: open, and answer.
    """
    app = App(open_store(url, folder))
    time.sleep(max(0.0, moment - time.time()))
    app.loaded.open()
    answer = {
        "predict": app.call("predict", [2.0]),
        "versions": {name: dict(app.loaded.versions(name)) for name in app.pipelines},
    }
    app.store.close()
    return answer


@pytest.mark.parametrize("round_", range(2))
def test_two_processes_start_on_an_empty_store(
    place: Place, processes: ProcessPoolExecutor, round_: int
) -> None:
    """
    Two web processes that start at the same time on nothing register once, and agree.
    """
    for waiting in [processes.submit(time.time) for _ in range(2)]:
        waiting.result(30)
    moment = time.time() + 0.5
    answers = [processes.submit(start_at, place.url, place.folder, moment) for _ in range(2)]
    first, second = [answer.result(30) for answer in answers]
    store = place.open()
    activations = [len(store.activations(name)) for name in sorted(store.known_pipelines())]
    savings = len(store.savings("scale"))
    store.close()

    assert first == second
    assert ([2.0], [1, 1, 1, 1], 1) == (first["predict"], activations, savings)


def train_here(url: str, folder: str) -> float:
    app = App(open_store(url, folder))
    output: list[float] = app.train("train_centre")
    app.store.close()
    return output[0]


def test_training_of_a_process_that_has_ended_is_saved(
    place: Place, processes: ProcessPoolExecutor
) -> None:
    """
    What a web process trained is not lost with it: another one saves it.
    """
    trained = [processes.submit(train_here, place.url, place.folder).result(30) for _ in range(2)]
    app = App(place.open())
    app.loaded.save("train_centre")
    saved = app.store.newest(["centre"])["centre"]
    data = app.store.get_blob(saved.digest or "")
    app.store.close()

    assert ([10.0, 19.0], b"18.0") == (trained, data)


SERVE = """
import sys, time
from tests.unit.op_store.kit import App, open_store
app = App(open_store(*sys.argv[1:3]))
while True:
    print(app.call("predict", [2.0])[0], flush=True)
    time.sleep(0.01)
"""


class Server:
    """
    A process that calls a pipeline without end, and the answers with their times.
    """

    def __init__(self, place: Place) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, place.url, place.folder],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def wait_for(self, answer: str) -> float:
        """
        The time at which *answer* came.
        """
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == answer:
                return time.monotonic()
        raise AssertionError(f"the server ended before it answered {answer}")

    def stop(self) -> None:
        self.process.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait(10)


@pytest.fixture(name="servers")
def _servers(place: Place) -> Iterator[list[Server]]:
    servers = [Server(place), Server(place)]
    yield servers
    for server in servers:
        server.stop()


def test_activation_reaches_every_process_within_a_second(
    place: Place, servers: list[Server]
) -> None:
    """
    After a load in one process, all others serve the new set within a second, and
    after a rollback the old one.
    """
    for server in servers:
        server.wait_for("2.0")
    app = App(place.open())
    app.train("train_centre", job_id="centre")
    app.loaded.load("train_scale")
    app.train("train_scale", job_id="scale")
    app.loaded.load("predict")
    loaded = time.monotonic()
    followed = [server.wait_for("47.0") - loaded for server in servers]
    app.store.activate_again("predict", 1)
    back = time.monotonic()
    rolled_back = [server.wait_for("2.0") - back for server in servers]
    app.store.close()

    # the pipe holds answers of a moment ago, so what is measured is at most too much
    assert max(followed + rolled_back) < 1.0


def has_more_than(app: App, number: int) -> bool:
    return len(app.store.savings("centre")) > number


def test_killed_process_leaves_a_whole_store(sqlite_place: Place) -> None:
    """
    A process that is killed while it trains and publishes leaves versions that can be
    loaded, and none that is half there.
    """
    code = (
        "import sys\nfrom tests.unit.op_store.kit import App, open_store\n"
        "app = App(open_store(*sys.argv[1:3]))\n"
        "for number in range(10**6):\n    app.train('train_centre', job_id=f'{sys.argv[3]}-{number}')\n"
    )
    app = App(sqlite_place.open())
    app.loaded.open()
    for round_ in range(3):
        before = len(app.store.savings("centre"))
        child = subprocess.Popen(
            [sys.executable, "-c", code, sqlite_place.url, sqlite_place.folder, str(round_)],
            cwd=ROOT,
        )
        # the process before has left its lease behind
        wait_until(partial(has_more_than, app, before + 5), timeout=leases.SECONDS + 15)
        child.kill()
        child.wait(10)
    savings = app.store.savings("centre")
    states = [app.store.get_blob(saving.digest or "") for saving in savings]
    app.store.close()

    assert [str(9.0 * count).encode() for count in reversed(range(len(states)))] == states


def test_pool_of_forked_processes(sqlite_place: Place) -> None:
    """
    Processes forked from one that has made its app, and not used it, all work at once.
    """
    app = App(sqlite_place.open())
    context = get_context("fork")
    children = [context.Process(target=_serve_once, args=(app,)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(30)

    assert ([0] * 4, 1) == ([child.exitcode for child in children], len(app.store.savings("scale")))
    app.store.close()


def _serve_once(app: App) -> None:
    assert [2.0] == app.call("predict", [2.0])


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("chariots_core.op_store", {"sqlalchemy", "fsspec", "numpy"}),
        ("chariots_core.op_store.loading", {"sqlalchemy", "fsspec", "numpy"}),
        ("chariots_core.op_store.sql_store", {"fsspec", "numpy"}),
        ("chariots_core.op_store_http", {"sqlalchemy", "fsspec", "numpy", "flask", "httpx"}),
    ],
)
def test_heavy_libraries_are_loaded_late(module: str, unwanted: set[str]) -> None:
    """
    Who only needs the contract does not wait for databases and clouds to be imported.
    """
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert set() == unwanted & set(done.stdout.split())


def test_files_need_no_fsspec(tmp_path: Path) -> None:
    """
    A store on SQLite and files starts, registers and loads without importing fsspec.
    """
    code = (
        "import sys\nfrom tests.unit.op_store.kit import App, open_store\n"
        "app = App(open_store(*sys.argv[1:3]))\napp.loaded.load('predict')\n"
        "print('fsspec' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{tmp_path}/store.db", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )

    assert "False" == done.stdout.strip()


def save_often(url: str, folder: str, begun: str, enough: str) -> None:
    """
    Save again and again, until a file is there; leave another one after the first time.
    """
    app = App(open_store(url, folder))
    deadline = time.monotonic() + 60
    while not Path(enough).exists() and time.monotonic() < deadline:
        app.loaded.save("train_centre")
        Path(begun).touch()
    app.store.close()


def test_saving_elsewhere_takes_no_training_away(
    place: Place, processes: ProcessPoolExecutor, tmp_path: Path
) -> None:
    """
    Whoever trains and then saves has saved that training, whatever others save meanwhile.
    """
    app = App(place.open())
    app.loaded.open()
    enough = tmp_path / "enough"
    begun = [tmp_path / "first", tmp_path / "second"]
    savers = [
        processes.submit(save_often, place.url, place.folder, str(path), str(enough))
        for path in begun
    ]
    saved = []
    try:
        wait_until(lambda: all(path.exists() for path in begun), timeout=30)
        for _ in range(30):
            app.train("train_centre")
            app.loaded.save("train_centre")
            known = app.store.newest(["centre"])["centre"]
            saved.append(float(app.store.get_blob(known.digest or "")))
    finally:
        enough.touch()
    for saver in savers:
        saver.result(60)
    app.store.close()

    assert [9.0 * number for number in range(1, 31)] == saved
