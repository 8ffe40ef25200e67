"""
Releases of one app's code, each in a folder of its own, that share their stores.

Servers and workers are started by the command line, as an operator starts them.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import httpx
import psutil

from chariots_core.testing.conformance.processes import halt
from tests.support import wait_until

#: Seconds in which whatever a test waits for has to come.
DEADLINE: Final = 40.0

#: Where this process imports the packages under test from: other processes do the same.
_PATH: Final = os.pathsep.join(path for path in sys.path if path)


class Command:
    """
    A command of Chariots that goes on, in a folder, with its log.
    """

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str],
        environment: dict[str, str],
        module: str = "chariots_core.cli",
    ) -> None:
        self.log = folder / f"{arguments[0]}-{os.urandom(4).hex()}.log"
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
            )

    @property
    def output(self) -> str:
        """
        What it has printed.
        """
        return self.log.read_text(errors="replace")

    def says(self, pattern: str) -> re.Match[str]:
        """
        Wait until its output has *pattern*.
        """

        def found() -> re.Match[str] | None:
            match = re.search(pattern, self.output)
            assert match or self.popen.poll() is None, self.output
            return match

        match = wait_until(found, DEADLINE, lambda: f"{pattern}: {self.output}")
        assert match is not None
        return match

    def ends(self) -> tuple[int, str]:
        """
        Wait for its end; its exit code and what it has printed.
        """
        return self.popen.wait(DEADLINE), self.output

    def family(self) -> list[psutil.Process]:
        """
        Its process, and all that came from it.
        """
        try:
            process = psutil.Process(self.popen.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def halt(self) -> None:
        """
        SIGSTOP to all of it.
        """
        halt([process.pid for process in self.family()])

    def go_on(self) -> None:
        """
        SIGCONT to all of it.
        """
        for process in self.family():
            process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """
        SIGKILL to all of it.
        """
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.popen.wait(DEADLINE)

    def stop(self) -> int:
        """
        SIGTERM, and wait for the end; its exit code.
        """
        self.popen.terminate()
        try:
            return self.popen.wait(DEADLINE)
        finally:
            self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Server(Command):
    """
    ``chariots serve``.
    """

    url: str = ""

    def call(self, method: str, path: str, body: object = None) -> httpx.Response:
        """
        One request, over a connection of its own.
        """
        return httpx.request(method, self.url + path, json=body, trust_env=False, timeout=DEADLINE)

    def load(self, pipeline: str) -> httpx.Response:
        """
        Serve a pipeline at its newest versions.
        """
        return self.call("POST", f"/api/v1/pipelines/{pipeline}/load")

    def save(self, pipeline: str) -> httpx.Response:
        """
        Save what a pipeline trained in a request.
        """
        return self.call("POST", f"/api/v1/pipelines/{pipeline}/save")

    def run(self, pipeline: str, value: object = None, **options: object) -> httpx.Response:
        """
        Run a pipeline.
        """
        body = {"input": value, **options}
        return self.call("POST", f"/api/v1/pipelines/{pipeline}/runs", body)

    def output_of(self, pipeline: str, value: object = None) -> Any:
        """
        The output of a run in the server.
        """
        response = self.run(pipeline, value, use_worker=False)
        assert response.status_code == 200, response.text
        return response.json()["output"]

    def submit(self, pipeline: str, value: object = None, **options: object) -> str:
        """
        Queue a job; its id.
        """
        response = self.run(pipeline, value, use_worker=True, **options)
        assert response.status_code == 202, response.text
        return str(response.json()["job"]["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """
        A job's document.
        """
        found: dict[str, Any] = self.call("GET", f"/api/v1/jobs/{job_id}").json()
        return found

    def ended(self, job_id: str, timeout: float = DEADLINE) -> dict[str, Any]:
        """
        A job's document, once it has ended.
        """

        def final() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] in {"done", "failed"} else None

        ended = wait_until(final, timeout, lambda: f"the end of {self.job(job_id)}")
        assert ended is not None
        return ended

    def done(self, job_id: str) -> Any:
        """
        A job's output, once it is done.
        """
        job = self.ended(job_id)
        assert job["status"] == "done", job
        return job["output"]

    def document(self, pipeline: str) -> dict[str, Any]:
        """
        A pipeline's document.
        """
        response = self.call("GET", f"/api/v1/pipelines/{pipeline}")
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def ready(self) -> dict[str, Any]:
        """
        What readiness says.
        """
        found: dict[str, Any] = self.call("GET", "/readyz?verbose=1").json()
        return found

    def sees(self, pipeline: str, predicate: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """
        Wait until a pipeline's document is as *predicate* wants it.
        """
        wait_until(
            lambda: predicate(self.document(pipeline)),
            DEADLINE,
            lambda: f"{predicate}: {self.document(pipeline)}",
        )
        return self.document(pipeline)


class Release:
    """
    The code of an app in a folder of its own.

    Args:
        folder: its folder.
        stores: the folder of the stores, which releases share.
        modules: path to text of each module.
        environment: variables for its processes.
    """

    def __init__(
        self, folder: Path, stores: Path, modules: dict[str, str], **environment: str
    ) -> None:
        self.folder = folder
        self._environment = {
            **os.environ,
            "PYTHONPATH": _PATH,
            "CHARIOTS_OP_STORE": f"sqlite:///{stores}/ops.db",
            "CHARIOTS_OP_STORE_FILES": str(stores / "ops"),
            "JOBS": f"sqlite:///{stores}/jobs.db",
            "OMP_NUM_THREADS": "1",
            **environment,
        }
        self._started: list[Command] = []
        self.write(modules)

    def write(self, modules: dict[str, str]) -> None:
        """
        Change modules of the code.
        """
        for path, text in modules.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def command(self, *arguments: str, module: str = "chariots_core.cli") -> Command:
        """
        Start a command of Chariots, or of another module.
        """
        command = Command(self.folder, arguments, self._environment, module)
        self._started.append(command)
        return command

    def serve(self, app: str = "shop:app", *arguments: str) -> Server:
        """
        Start a server, and wait until it serves.
        """
        options = ["serve", app, "--port=0", "--processes=1", "--threads=4", *arguments]
        server = Server(self.folder, options, self._environment)
        self._started.append(server)
        server.url = server.says(r"serving \S+ on (http://\S+)")[1]
        return server

    def worker(self, app: str = "shop:app", *arguments: str) -> Command:
        """
        Start a worker.
        """
        return self.command("worker", app, *arguments)

    def close(self) -> None:
        """
        Kill what was started.
        """
        for command in self._started:
            command.kill()
