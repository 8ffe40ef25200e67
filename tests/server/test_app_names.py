"""
The default name of an app: the module that creates it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chariots_core.app.checks import checked_name
from chariots_core.app.naming import app_name_of
from chariots_core.config import ChariotsConfig
from chariots_core.errors import ConfigurationError
from chariots_core.server import PipelinesServer

#: An app in a module; as a program it prints its name, and what Flask makes of it.
SHOP = """
from chariots_core.server import PipelinesServer

app = PipelinesServer([], worker_pool="local")

if __name__ == "__main__":
    print(app.chariots.name, app.root_path)
"""

#: A program that asks a process of its own for the name.
SPAWNS = """
import multiprocessing

from chariots_core.server import PipelinesServer

app = PipelinesServer([])

def name():
    return app.chariots.name

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(name(), pool.apply(name))
"""

#: An app that is made by a subclass, a class method, a factory, a configuration.
FACTORY = """
from chariots_core.config import ChariotsConfig
from chariots_core.server import PipelinesServer


class Server(PipelinesServer):
    def __init__(self, **options):
        super().__init__([], **options)

    @classmethod
    def create(cls):
        return cls()


def make():
    return PipelinesServer([])
"""
USERS = """
import functools
import json

import factory
from chariots_core.config import ChariotsConfig

makers = (
    factory.Server,
    factory.Server.create,
    factory.make,
    ChariotsConfig().get_pipelines_server,
    functools.partial(factory.Server),
)
print(json.dumps([make().chariots.name for make in makers]))
"""

#: Submits the first argument, and prints the result that a worker has given.
SELLS = """
import sys

from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.server import PipelinesServer


class Label(BaseOp):
    def execute(self, value):
        return f"{value} of {__file__[-4:-3]}"


nodes = [Node(Label(), ["__pipeline_input__"], "__pipeline_output__")]
app = PipelinesServer([Pipeline(nodes, "label")], worker_pool="local")

if __name__ == "__main__":
    print(app.chariots.submit("label", sys.argv[1]).record.id)
"""

#: Runs one job of the app in the module that is named, and prints its result.
WORKS = """
import importlib
import sys

app = importlib.import_module(sys.argv[1]).app.chariots
with app.pool.spawn_worker(start_method="fork") as worker:
    worker.wait_ready()
    while any(app.job_store.counts().values()):
        worker.wait(0.01)
for job_id in sys.argv[2:]:
    print(app.fetch_job(job_id).value_json)
"""


@pytest.fixture(name="folder", autouse=True)
def _folder(tmp_path: Path) -> Path:
    """
    A folder with apps, as a module and in a package.
    """
    (tmp_path / "proj").mkdir()
    for path in ("proj/__init__.py", "proj/shop.py", "proj/__main__.py", "shop.py"):
        (tmp_path / path).write_text("" if "init" in path else SHOP)
    (tmp_path / "my shop.py").write_text(SHOP)
    (tmp_path / "factory.py").write_text(FACTORY)
    (tmp_path / "users.py").write_text(USERS)
    return tmp_path


def python(folder: Path, *arguments: str, stdin: str = "") -> str:
    """
    What a process of Python prints.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "name", "root"),
    [
        (("shop.py",), "shop", ""),
        (("-m", "shop"), "shop", ""),
        (("-m", "proj.shop"), "proj.shop", "/proj"),
        (("-m", "proj"), "proj.__main__", "/proj"),
        (("my shop.py",), "my_shop-21e023", ""),
    ],
)
def test_a_program_has_the_name_that_its_importers_give_it(
    folder: Path, arguments: tuple[str, ...], name: str, root: str
) -> None:
    """
    An app without a name is named after its module, also where that is the program;
    Flask finds the module's folder.
    """
    assert f"{name} {folder}{root}" == python(folder, *arguments)


def test_a_profiler_runs_the_program_under_its_name(folder: Path) -> None:
    """
    A profiler or a debugger, itself the program, runs another one: the app is that one's.
    """
    assert "shop" == python(folder, "-m", "cProfile", "-o", "profile", "shop.py").split()[0]


@pytest.mark.parametrize("module", ["shop", "proj.shop"])
def test_an_imported_module_gives_its_name(folder: Path, module: str) -> None:
    """
    A worker or a server that imports the module gives the app the same name.
    """
    code = f"from {module} import app; print(app.chariots.name)"

    assert module == python(folder, "-c", code)


def test_code_that_cannot_be_imported_keeps_the_name_of_the_program(folder: Path) -> None:
    """
    In a notebook, a session or a pipe the name is ``__main__``.
    """
    assert f"__main__ {folder}" == python(folder, "-", stdin=SHOP)


def test_a_spawned_process_gives_the_same_name(folder: Path) -> None:
    """
    A process of multiprocessing, which loads the program once more, gives it the same name.
    """
    (folder / "spawns.py").write_text(SPAWNS)

    assert "spawns spawns" == python(folder, "spawns.py")


def test_construction_is_passed_over(folder: Path) -> None:
    """
    A subclass, its class methods and a configuration create the app for their caller;
    a factory creates it itself.
    """
    found = json.loads(python(folder, "users.py"))

    assert ["users", "users", "factory", "users", "users"] == found


def test_flask_finds_the_same_app(folder: Path) -> None:
    """
    Flask's own command imports the module, and so gives the app its name.
    """
    code = "from flask.cli import ScriptInfo as I; print(I('shop.py').load_app().chariots.name)"

    assert "shop" == python(folder, "-c", code)


def test_workers_of_an_engine_give_the_same_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A worker of RQ or Dramatiq imports the app that ``CHARIOTS_APP`` names, under its name.
    """
    monkeypatch.setenv("CHARIOTS_APP", "proj.shop:app")
    code = (
        "from chariots_core.app.engines import app_of_environment as a; "
        "from chariots_core.local import LocalWorkerPool as P; print(a(P)[0].name)"
    )

    assert "proj.shop" == python(folder, "-c", code)


def test_a_name_that_is_given_is_kept() -> None:
    """
    A name in code or in the configuration wins over the module's.
    """
    named = PipelinesServer([], import_name="mine")
    config = ChariotsConfig()

    assert ("mine", "mine") == (named.chariots.name, named.import_name)
    assert "other" == config.get_pipelines_server([], import_name="other").chariots.name
    assert __name__ == config.get_pipelines_server([]).chariots.name


def test_no_module_is_an_error() -> None:
    """
    Where no module creates the app, its name has to be given.
    """
    with ThreadPoolExecutor(1) as executor, pytest.raises(ConfigurationError, match="import_name"):
        executor.submit(PipelinesServer, []).result()


@pytest.mark.parametrize("module", ["größe", "日本", "-", "...", "a b", "m" * 101, "m." * 80, ""])
def test_any_module_gives_a_name_that_queues_can_bear(module: str) -> None:
    """
    A name that queues cannot bear is made into one, which differs from module to module.
    """
    name = app_name_of(module)

    assert name == checked_name(name)
    assert app_name_of(f"{module}'") != name


def test_two_apps_in_one_folder_run_their_own_jobs(folder: Path) -> None:
    """
    Two programs without app names, in one folder and one job store, run each its own jobs,
    by workers that import them.
    """
    (folder / "a.py").write_text(SELLS)
    (folder / "b.py").write_text(SELLS)
    (folder / "works.py").write_text(WORKS)
    of_a, of_b = python(folder, "a.py", "1"), python(folder, "b.py", "2")

    assert '"2 of b"' == python(folder, "works.py", "b", of_b)
    assert '"1 of a"' == python(folder, "works.py", "a", of_a)


def test_the_worker_command_runs_the_jobs_of_the_program(folder: Path) -> None:
    """
    ``chariots worker a:app`` takes what ``python a.py`` has submitted.
    """
    (folder / "a.py").write_text(SELLS)
    job_id = python(folder, "a.py", "1")
    code = (
        "import time; from chariots_core.workers.spawn import start_workers; from a import app\n"
        "with start_workers('a:app'):\n"
        "    while (job := app.chariots.fetch_job(" + repr(job_id) + ")).status.value != 'done':\n"
        "        time.sleep(0.01)\n"
        "print(job.value_json)"
    )

    assert '"1 of a"' == python(folder, "-c", code)
