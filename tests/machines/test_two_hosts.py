"""
Server on one host, worker on another: they share a Redis, the address of an op store,
and nothing else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.conftest import missing_service
from tests.machines.hosts import Host, can_make_hosts, two_hosts
from tests.redis_servers import redis_program
from tests.support import wait_until

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(180)]

#: What both hosts have installed.
APP = """
import os

from chariots.pipelines import Pipeline, PipelinesServer
from chariots.pipelines.nodes import Node
from tests.apps import Learn, Model, Who

app = PipelinesServer(
    [
        Pipeline([Node(Learn(), ["__pipeline_input__"], "__pipeline_output__")], name="train"),
        Pipeline([Node(Model(), ["__pipeline_input__"], "__pipeline_output__")], name="predict"),
        Pipeline([Node(Who(), ["__pipeline_input__"], "__pipeline_output__")], name="who"),
    ],
    import_name="machines",
    worker_pool={"backend": "rq", "url": os.environ["REDIS"]},
)
"""


@attrs.frozen
class Machines:
    """
    The two hosts: the one with the servers, and the one with the worker.
    """

    here: Host
    there: Host

    def call(self, *arguments: str) -> Any:
        """
        What a command of chariots says, on the server's host.
        """
        url = f"http://{self.here.address}:5000"
        done = self.here.run(
            *self.here.python("-m", "chariots_core.cli", *arguments, "--url", url, "--json")
        )
        assert 0 == done.returncode, f"{done.stdout}{done.stderr}\n{self.story()}"
        return json.loads(done.stdout)

    def start_worker(self) -> None:
        """
        Start a worker on its host.
        """
        self.there.start(
            *self.there.python("-m", "chariots_core.cli", "worker", "machines_app:app"),
            **self.settings,
        )

    @property
    def settings(self) -> dict[str, str]:
        """
        All that a process of the app is told.
        """
        return {
            "REDIS": f"redis://{self.here.address}:6379/0",
            "CHARIOTS_OP_STORE": f"http://{self.here.address}:5001",
        }

    def answers(self, path: str, check: Callable[[Any], bool] = bool) -> bool:
        """
        Whether the server says what is looked for.
        """
        code = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"
        url = f"http://{self.here.address}:5000{path}"
        done = self.here.run(*self.here.python("-c", code, url))
        return done.returncode == 0 and check(json.loads(done.stdout))

    def story(self) -> str:
        """
        What all processes wrote.
        """
        return f"{self.here.log()}\n{self.there.log()}"


@pytest.fixture(name="machines")
def _machines(tmp_path: Path) -> Iterator[Machines]:
    program = redis_program()
    if program is None:
        missing_service("a redis-server")
    if not can_make_hosts():
        pytest.skip("this user cannot make network namespaces here")
    assert program is not None
    with two_hosts(tmp_path, os.getpid() % 256) as (here, there):
        for host in (here, there):
            (host.folder / "machines_app.py").write_text(APP)
        machines = Machines(here, there)
        here.start(
            *(program, "--bind", here.address, "--port", "6379", "--protected-mode", "no"),
            *("--save", "", "--appendonly", "yes", "--dir", str(here.folder)),
        )
        command = here.python("-m", "chariots_core.cli")
        here.start(*command, "op-store", "--host", here.address, "--port", "5001")
        wait_until(lambda: "serving op_store" in here.log(), 30.0, here.log)
        here.start(
            *(*command, "serve", "machines_app:app", "--host", here.address, "--port", "5000"),
            **machines.settings,
        )
        wait_until(lambda: machines.answers("/readyz"), 60.0, machines.story)
        yield machines


def test_train_there_and_predict_here(machines: Machines) -> None:
    """
    What a worker on another host trains is served here after load; a worker that is
    lost with its whole host is told of, and the next host's takes over.
    """
    machines.start_worker()
    wait_until(
        lambda: machines.answers("/readyz?verbose=1", lambda body: body["workers"] == 1),
        60.0,
        machines.story,
    )
    trained = machines.call("call", "train", "--input", "5.0", "--worker", "--wait")
    assert "done" == trained["job_status"], machines.story()
    machines.call("load", "predict")
    assert 10.0 == machines.call("call", "predict", "--input", "2.0")["value"]

    lost = machines.call("call", "who", "--input", "60", "--worker")["job_id"]
    wait_until(
        lambda: machines.answers(f"/api/v1/jobs/{lost}", lambda body: body["status"] == "running"),
        30.0,
        machines.story,
    )
    machines.there.kill()
    wait_until(
        lambda: machines.answers(
            f"/api/v1/jobs/{lost}",
            lambda body: (body["status"], body["reason"]) == ("failed", "worker_lost"),
        ),
        60.0,
        machines.story,
    )
    machines.start_worker()
    assert (
        "done"
        == machines.call("call", "train", "--input", "7.0", "--worker", "--wait")["job_status"]
    )
    machines.call("load", "predict")
    assert 14.0 == machines.call("call", "predict", "--input", "2.0")["value"]
    assert not (machines.there.folder / ".chariots").exists()
