"""
The installed wheels, used from a folder that is not the checkout.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Installed
from tests.support import ROOT, free_port, port_open, wait_until

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.slow,
    pytest.mark.timeout(400),
]

WHERE = """
import importlib, json, sys
print(json.dumps({name: importlib.import_module(name).__file__ for name in sys.argv[1:]}))
"""

PUBLIC_NAMES = """
import importlib, pkgutil, chariots
modules = [name for _, name, _ in pkgutil.walk_packages(chariots.__path__, "chariots.")]
for module in map(importlib.import_module, modules):
    for name in getattr(module, "__all__", []):
        try:
            getattr(module, name)
        except ImportError as error:
            assert "pip install" in str(error), error
            print("missing plugin:", module.__name__, name)
        else:
            print("ok:", module.__name__, name)
"""

APP = """
from chariots.pipelines import Pipeline, PipelinesServer
from chariots.pipelines.nodes import Node
from chariots.pipelines.ops import BaseOp


class IsOdd(BaseOp):
    def execute(self, number):
        return number % 2 == 1


nodes = [Node(IsOdd(), input_nodes=["__pipeline_input__"], output_nodes="__pipeline_output__")]
app = PipelinesServer([Pipeline(nodes, "is_odd")], worker_pool="local", import_name="smoke")
"""


@contextlib.contextmanager
def serving(installed: Installed, folder: Path) -> Iterator[str]:
    """
    The app of *folder* behind the installed ``chariots serve``, with a worker.
    """
    port = free_port()
    log = folder / "serve.log"
    command = [str(installed.bin / "chariots"), "serve", "smoke_app:app", "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--job-workers", "1"],
            cwd=folder,
            env=installed.environment,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(
            lambda: port_open("127.0.0.1", port) or server.poll() is not None,
            30,
            log.read_text,
        )
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
        server.kill()
        server.wait()


def test_packages_come_from_the_wheels(installed: Installed) -> None:
    """
    The packages import from the environment, and the checkout is out of sight.
    """
    done = installed.run("python", "-c", WHERE, "chariots_core", "chariots", "chariots_ml")
    places = json.loads(done.stdout or "{}")
    site = str(installed.bin.parent)

    assert done.stderr == ""
    assert [True] * 3 == [place.startswith(site) for place in places.values()]


def test_every_public_name_is_there(installed: Installed) -> None:
    """
    Each name of the facade is found, or says which plugin to install; no test tool is needed.
    """
    done = installed.run("python", "-W", "error", "-c", PUBLIC_NAMES)

    assert (0, "") == (done.returncode, done.stderr)
    assert {"ok: chariots.pipelines Pipeline", "ok: chariots.ml.sklearn SKSupervisedOp"} <= set(
        done.stdout.splitlines()
    )


def test_command_knows_its_version_and_backend(installed: Installed) -> None:
    """
    The installed command says the wheel's version, and lists the built-in backend as usable.
    """
    version = installed.run("chariots", "--version")
    backends = installed.run("chariots", "backends")
    local = [line.split() for line in backends.stdout.splitlines() if line.startswith("local")]

    assert (0, 0) == (version.returncode, backends.returncode)
    assert [version.stdout.split()[-1]] == [row[2] for row in local]
    assert "ok" in local[0]


def test_app_is_served_in_the_request_and_on_a_worker(installed: Installed, tmp_path: Path) -> None:
    """
    The installed server answers in the request, and a worker beside it runs jobs.
    """
    (tmp_path / "smoke_app.py").write_text(APP)
    with serving(installed, tmp_path) as url:
        here = installed.run("chariots", "call", "is_odd", "-i", "3", "--url", url)
        there = installed.run(
            "chariots", "call", "is_odd", "-i", "4", "--worker", "--wait", "--url", url
        )

    assert (0, 0) == (here.returncode, there.returncode), here.stderr + there.stderr
    assert ("true", "false") == (here.stdout.strip(), there.stdout.strip())


def test_main_job_runs_from_end_to_end(installed: Installed, tmp_path: Path) -> None:
    """
    The iris example trains on a worker, loads and predicts, with the wheels alone.
    """
    shutil.copytree(ROOT / "examples" / "iris", tmp_path / "iris")
    done = installed.run("python", str(tmp_path / "iris" / "demo.py"), timeout=120)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "nothing is left running" in done.stdout
