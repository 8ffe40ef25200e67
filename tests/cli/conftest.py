"""
A project folder with an app, and the command ``chariots`` called in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from chariots_core.app import App
from chariots_core.local import LocalWorkerPool
from tests.support import wait_until

#: The module of the project.
PROJECT = '''
import os
import time

from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.progress import report
from chariots_core.server import PipelinesServer


class Echo(BaseOp):
    """Gives its input back."""

    def execute(self, value):
        return value


class Steps(BaseOp):
    """Tells how far it is, and waits for a file where one is named."""

    def execute(self, value):
        for n in range(3):
            report(n + 1, 3, message="counting")
            time.sleep(0.3)
        return value


class Pid(BaseOp):
    """Tells which process it is."""

    def execute(self, value):
        return os.getpid()


class Fail(BaseOp):
    """Does not like its input."""

    def execute(self, value):
        raise ValueError(f"I do not like {value!r}")


class Hold(BaseOp):
    """Makes a file, and waits for another."""

    def execute(self, value):
        open("started", "w").close()
        while not os.path.exists("gate"):
            time.sleep(0.01)
        return value


def pipeline(op):
    node = Node(op, input_nodes=["__pipeline_input__"], output_nodes="__pipeline_output__")
    return Pipeline([node], name=op.name)


pipelines = [pipeline(op()) for op in (Echo, Steps, Pid, Fail, Hold)]
app = PipelinesServer(pipelines, worker_pool="local", import_name="project")
'''

#: A server of the standard library: what is tested here is the other end.
SERVER = """
from wsgiref.simple_server import WSGIRequestHandler, make_server

from project import app


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
"""

#: The same without workers.
IDLE = """
from chariots_core.server import PipelinesServer

app = PipelinesServer([], import_name="idle")
value = 5
"""

BROKEN = "import a_library_that_is_not_there"

#: Two pipelines of one name.
TWICE = """
from project import PipelinesServer, pipelines

app = PipelinesServer([*pipelines, *pipelines], import_name="twice")
"""


@attrs.frozen
class Project:
    """
    A folder with modules, in which commands are called.
    """

    folder: Path

    def run(
        self, *arguments: str, code: int | None = 0, stdin: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        """
        Call a command, and check its exit code.
        """
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**os.environ, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert code in {None, done.returncode}, f"{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        """
        Start a command that goes on; its output is in ``log``.
        """
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                self.command(*arguments),
                cwd=self.folder,
                env={**os.environ, **env},
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        """
        What started commands wrote.
        """
        return (self.folder / "log").read_text()

    @staticmethod
    def command(*arguments: str) -> list[str]:
        """
        The command line.
        """
        return [sys.executable, "-W", "error", "-m", "chariots_core.cli", *arguments]


def make_project(folder: Path) -> Project:
    """
    Write a good app, one without workers, and broken ones.
    """
    modules = {"project": PROJECT, "idle": IDLE, "broken": BROKEN, "twice": TWICE}
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return Project(folder)


@pytest.fixture(name="project")
def _project(tmp_path: Path) -> Project:
    """
    A folder of the test's own.
    """
    return make_project(tmp_path)


@pytest.fixture(name="app")
def _app(project: Project) -> Iterator[App]:
    """
    The jobs of the project, seen from the test.
    """
    url = f"sqlite:///{project.folder}/.chariots/jobs.db"
    app = App("project", [], worker_pool=LocalWorkerPool(url=url))
    assert app.pool is not None
    yield app
    app.pool.close()


def ended(process: subprocess.Popen[bytes], timeout: float = 10.0) -> int:
    """
    Waits for the end of a process and gives its exit code.
    """
    wait_until(lambda: process.poll() is not None, timeout, "the end of a command")
    return process.returncode


@contextmanager
def serving(project: Project) -> Iterator[str]:
    """
    The address of a server of the project's app, without workers.
    """
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], cwd=project.folder, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


def read(fd: int) -> bytes:
    """
    What a terminal shows next; nothing once its other end is closed.
    """
    try:
        return os.read(fd, 4096)
    except OSError:
        return b""
