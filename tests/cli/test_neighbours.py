"""
Processes of one app's name that differ: a warning at the start.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from chariots_core.app import App
from chariots_core.local import LocalWorkerPool
from tests.cli.conftest import Project
from tests.support import free_port, wait_until

#: An app of a name and of pipelines that the text is completed by.
SHOP = """
from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.server import PipelinesServer


class Echo(BaseOp):
    def execute(self, value):
        return value


def pipeline(name):
    return Pipeline([Node(Echo(), ["__pipeline_input__"], "__pipeline_output__")], name)


app = PipelinesServer([pipeline(name) for name in NAMES], worker_pool="local", import_name="shop")
"""

#: A server of the standard library, and one request to it.
OTHER_SERVER = """
import threading
import urllib.request
from wsgiref.simple_server import make_server

from other import app

with make_server("127.0.0.1", 0, app) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/livez").read()
    print("answered", flush=True)
    input()
    app.close()
"""


@pytest.fixture(name="project", autouse=True)
def _project(tmp_path: Path) -> Project:
    """
    Two modules with apps of one name: the second lacks a pipeline and has another.
    """
    (tmp_path / "shop.py").write_text(SHOP.replace("NAMES", '("iris", "wine")'))
    (tmp_path / "other.py").write_text(SHOP.replace("NAMES", '("iris", "beer")'))
    return Project(tmp_path)


@pytest.fixture(name="jobs")
def _jobs(project: Project) -> Iterator[App]:
    """
    The jobs of both, seen from the test.
    """
    url = f"sqlite:///{project.folder}/.chariots/jobs.db"
    with App("shop", [], worker_pool=LocalWorkerPool(url=url)) as app:
        yield app


def kinds(jobs: App) -> list[str]:
    """
    The kinds of the processes on the list.
    """
    return sorted(found.kind for found in jobs.job_store.processes())


@contextmanager
def started(
    project: Project, jobs: App, expected: list[str], *arguments: str, **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """
    A command, once the processes of *expected* kinds are on the list.
    """
    process = project.start(*arguments, **env)
    try:
        wait_until(
            lambda: process.poll() is not None or kinds(jobs) == expected,
            30,
            lambda: f"{kinds(jobs)}: {project.log}",
        )
        assert process.poll() is None, project.log
        yield process
        process.terminate()
        process.wait(20)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def warnings(project: Project) -> list[str]:
    """
    The warnings about processes that differ.
    """
    return [line for line in project.log.splitlines() if "also runs as" in line]


def test_a_worker_with_other_pipelines_warns(project: Project, jobs: App) -> None:
    """
    A worker warns once that another process of its app has other pipelines; the line names
    both, the difference and the remedy.
    """
    with (
        started(project, jobs, ["worker"], "worker", "shop:app") as first,
        started(project, jobs, ["worker", "worker"], "worker", "other:app"),
    ):
        (line,) = warnings(project)

    assert "WARNING" in line
    assert (
        f"app 'shop' also runs as worker process {first.pid} on host '{os.uname().nodename}'"
        in line
    )
    assert "pipelines only here: 'beer'; pipelines only there: 'wine'" in line
    assert "op store" not in line
    assert "while a release that adds or removes pipelines replaces another, this is normal" in line
    assert "give each a name of its own (import_name)" in line


def test_a_worker_with_another_op_store_warns(project: Project, jobs: App) -> None:
    """
    A worker of the same code with another op store warns, and shows no password.
    """
    folder = project.folder
    with (
        started(project, jobs, ["worker"], "worker", "shop:app"),
        started(
            project,
            jobs,
            ["worker", "worker"],
            *("worker", "shop:app"),
            CHARIOTS_OP_STORE="http://me:secret@127.0.0.1:1",
        ),
    ):
        (line,) = warnings(project)

    assert "pipelines" not in line
    here = "op store here: http://127.0.0.1:1"
    assert f"{here}, there: sqlite:///{folder}/.chariots/op_store.db on host" in line
    assert "point both at one op store (CHARIOTS_OP_STORE)" in line
    assert "secret" not in project.log


def test_processes_of_one_app_do_not_warn(project: Project, jobs: App) -> None:
    """
    Web processes and workers of one code and one op store start without a warning; web
    processes are no workers.
    """
    serve = ("serve", "shop:app", "--processes=2", "--job-workers=1", "--port=0")
    with (
        started(project, jobs, ["web", "web", "worker"], *serve),
        started(project, jobs, ["web", "web", "worker", "worker"], "worker", "shop:app"),
    ):
        assert jobs.pool is not None
        assert [] == warnings(project)
        assert 2 == jobs.pool.n_workers

    assert [] == warnings(project)
    assert [] == [kind for kind in kinds(jobs) if kind == "worker"]


def test_a_server_with_other_pipelines_warns_once(project: Project, jobs: App) -> None:
    """
    ``chariots serve`` warns once for its web processes and its workers together.
    """
    serve = ("serve", "other:app", "--processes=2", "--job-workers=1", "--port=0")
    with (
        started(project, jobs, ["worker"], "worker", "shop:app"),
        started(project, jobs, ["web", "web", "worker", "worker"], *serve),
    ):
        assert 1 == len(warnings(project)), project.log


def test_several_workers_of_one_command_warn_once(project: Project, jobs: App) -> None:
    """
    ``chariots worker --processes`` warns once for all of its workers.
    """
    with (
        started(project, jobs, ["worker"], "worker", "shop:app"),
        started(project, jobs, ["worker"] * 4, "worker", "other:app", "--processes=3"),
    ):
        assert 1 == len(warnings(project)), project.log


def test_any_server_warns_at_its_first_request(project: Project, jobs: App) -> None:
    """
    A server that something else runs reports itself at its first request, warns, and is
    gone once it is closed.
    """
    with (
        started(project, jobs, ["worker"], "worker", "shop:app"),
        (project.folder / "other.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-c", OTHER_SERVER],
            cwd=project.folder,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        ) as server,
    ):
        text = project.folder / "other.log"
        wait_until(lambda: kinds(jobs) == ["web", "worker"], 20, text.read_text)
        assert "app 'shop' also runs as worker process" in text.read_text()
        server.communicate(b"\n", timeout=20)
        assert ["worker"] == kinds(jobs)


def test_a_process_that_was_killed_is_not_named(project: Project, jobs: App) -> None:
    """
    A process that was killed is on the list for a while: a process that starts after it, with
    other pipelines, does not warn.
    """
    with started(project, jobs, ["worker"], "worker", "shop:app") as first:
        first.kill()
        first.wait(10)
        with started(project, jobs, ["worker", "worker"], "worker", "other:app"):
            assert [] == warnings(project)


def test_web_processes_do_not_count_as_workers(project: Project, jobs: App) -> None:
    """
    ``/readyz`` counts the workers, and no web process.
    """
    port = free_port()
    serve = ("serve", "shop:app", "--processes=1", f"--port={port}")
    with started(project, jobs, ["web"], *serve):
        url = f"http://127.0.0.1:{port}/readyz?verbose=1"
        with urllib.request.urlopen(url) as answer:
            assert b'"workers":0' in answer.read().replace(b" ", b"")
        assert [] == list(jobs.job_store.workers())
