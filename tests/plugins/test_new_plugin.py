"""
`chariots plugin new`: a project that works, and no file of anybody's overwritten.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.plugins.distributions import Distribution, install
from tests.support import ROOT

#: Some behaviours of each kind: a look-up, rubbish, a kill -9, a stop, an option.
QUICK = "test_10_ or test_27_ or test_32_ or test_46_a or test_41_a_queue or test_56_"


def plugin_new(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """
    Call the command.
    """
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "chariots_core.cli", "plugin", "new", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def files_in(folder: Path) -> dict[str, str]:
    """
    The text of every file below *folder*, by its path.
    """
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(name="project", scope="module")
def _project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    A project as the command writes it.
    """
    folder = tmp_path_factory.mktemp("new")
    done = plugin_new("My.queue-2", cwd=folder)
    assert 0 == done.returncode, done.stderr
    return folder / "chariots-My.queue-2"


def test_project_is_complete(project: Path) -> None:
    """
    The project has a plugin, a pool, a test and a README, and no word is left to fill in.
    """
    found = files_in(project)

    assert {
        "README.md",
        "pyproject.toml",
        "src/chariots_my_queue_2/__init__.py",
        "src/chariots_my_queue_2/plugin.py",
        "src/chariots_my_queue_2/pool.py",
        "src/chariots_my_queue_2/py.typed",
        "tests/test_conformance.py",
    } == set(found)
    marks = ("[[class", "[[contract", "[[core", "[[distribution", "[[name", "[[package")
    assert [] == [path for path, text in found.items() if any(mark in text for mark in marks)]


def test_project_says_where_its_plugin_is(project: Path) -> None:
    """
    The entry point has the backend's name, and the distribution asks for this core.
    """
    told = tomllib.loads((project / "pyproject.toml").read_text())["project"]

    assert "chariots-my-queue-2" == told["name"]
    assert {"My.queue-2": "chariots_my_queue_2.plugin"} == told["entry-points"][
        "chariots.worker_backends"
    ]
    assert any(wanted.startswith("chariots-core>=") for wanted in told["dependencies"])


def run_kit(
    project: Path, modules: Mapping[str, str], chosen: str, folder: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    """
    Install *modules* with the project's entry points, and run tests of the project.
    """
    told = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    distribution = Distribution(
        name=told["name"], modules=modules, entry_points=told["entry-points"]
    )
    site = install([distribution], folder / "site", folder)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    return subprocess.run(
        [*command, "-k", chosen, *options],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_project_passes_the_kit(project: Path, tmp_path: Path) -> None:
    """
    Nothing has to be written before the kit passes.
    """
    done = run_kit(project, files_in(project / "src"), QUICK, tmp_path)

    assert 0 == done.returncode, done.stdout[-5000:] + done.stderr
    assert "failed" not in done.stdout
    # Of what is chosen only the order of priorities is not declared.
    assert "1 skipped" in done.stdout


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_project_passes_the_basic_level(project: Path, tmp_path: Path) -> None:
    """
    All main behaviours are shown from the first minute, by the project's own command.
    """
    modules = files_in(project / "src")
    done = run_kit(project, modules, "test_", tmp_path, "--conformance-level=basic")

    assert 0 == done.returncode, done.stdout[-5000:] + done.stderr
    assert "failed" not in done.stdout


def test_kit_sees_a_list_that_promises_more(project: Path, tmp_path: Path) -> None:
    """
    A plugin that lists a capability which its pool does not declare fails the kit.
    """
    modules = files_in(project / "src")
    path = "chariots_my_queue_2/plugin.py"
    modules[path] = (
        modules[path]
        .replace(
            "WorkerPool.capabilities", "WorkerPool.capabilities | Capabilities(priorities=True)"
        )
        .replace("import BackendInfo", "import Capabilities, BackendInfo")
    )

    done = run_kit(project, modules, "test_61_what_is_listed", tmp_path)

    assert 1 == done.returncode, done.stdout + done.stderr
    assert "1 failed" in done.stdout


def test_project_is_in_the_house_form(project: Path) -> None:
    """
    The linter and the formatter have nothing to say.
    """
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--no-cache", "--config", str(ROOT / "pyproject.toml")]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [*ruff, *command, *config], cwd=project, capture_output=True, text=True, check=False
        )
        assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_project_is_typed(project: Path, tmp_path: Path) -> None:
    """
    The type checker has nothing to say, as strict as it is here.
    """
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "src", "tests"],
        cwd=project,
        env={**os.environ, "MYPYPATH": str(project / "src")},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("", "no backend can be called ''"),
        ("a b", "no backend can be called 'a b'"),
        ("../x", "no backend can be called '../x'"),
        ("é", "no backend can be called 'é'"),
        ("-x", "no backend can be called '-x'"),
        ("x" * 65, "64 at most"),
        ("Core", "'chariots-core', which is a distribution of Chariots"),
        ("RQ", "'chariots-rq', which is a distribution of Chariots"),
        ("local", "'local' is installed, from 'chariots-core'"),
    ],
)
def test_bad_name(name: str, word: str, tmp_path: Path) -> None:
    """
    A name that no backend can have, or that is taken, is refused, and nothing is written.
    """
    done = plugin_new("--", name, cwd=tmp_path)

    assert 2 == done.returncode
    assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert [] == list(tmp_path.iterdir())


def test_name_that_begins_with_a_digit(tmp_path: Path) -> None:
    """
    What is made of a name is a name in Python, too.
    """
    done = plugin_new("7up", cwd=tmp_path)

    assert 0 == done.returncode, done.stderr
    source = (tmp_path / "chariots-7up" / "src" / "chariots_7up" / "pool.py").read_text()
    assert "class Queue7upWorkerPool(BaseWorkerPool):" in source
    compile(source, "pool.py", "exec")


def test_folder_with_something_in_it(tmp_path: Path) -> None:
    """
    A folder that is not empty stays as it is.
    """
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "README.md").write_text("mine")

    done = plugin_new("queue", "--folder", "mine", cwd=tmp_path)

    assert (2, True) == (done.returncode, "'mine' is there and is no empty folder" in done.stderr)
    assert {"README.md": "mine"} == files_in(folder)


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """
    What is in the way is named, whether it is the folder or one above it.
    """
    (tmp_path / "file").write_text("mine")

    at_it = plugin_new("queue", "--folder", "file", cwd=tmp_path)
    below = plugin_new("queue", "--folder", "file/below", cwd=tmp_path)

    assert (2, 2) == (at_it.returncode, below.returncode)
    assert "'file' is there and is no empty folder" in at_it.stderr
    assert "cannot be written to 'file/below'" in below.stderr
    assert "Traceback" not in below.stderr
    assert {"file": "mine"} == files_in(tmp_path)


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    """
    An empty folder is used, and a missing one is made, with those above it.
    """
    (tmp_path / "empty").mkdir()

    for folder in ("empty", "some/where"):
        assert 0 == plugin_new("queue", "--folder", folder, cwd=tmp_path).returncode
        assert "src/chariots_queue/pool.py" in files_in(tmp_path / folder)
