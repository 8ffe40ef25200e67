"""
``chariots serve``: an app over HTTP with workers beside it, in one command.
"""

from __future__ import annotations

import re
import signal
from contextlib import suppress

import pytest

from chariots_core.app import App
from tests.cli.conftest import Project, ended
from tests.support import wait_until


def test_serve_call_and_stop(project: Project) -> None:
    """
    The commands of the README work together, logs say as much as asked, nothing is left after SIGTERM.
    """
    server = project.start(
        "serve",
        "project:app",
        "--port",
        "0",
        "-w",
        "1",
        "--processes",
        "1",
        "--log-level",
        "warning",
    )
    try:
        found = wait_until(
            lambda: server.poll() is not None or re.search(r"http://[\w.:]+", project.log),
            30,
            lambda: project.log,
        )
        assert isinstance(found, re.Match), project.log
        url = found[0]
        assert "(1 web process, 1 job worker)" in project.log
        here = project.run("call", "echo", "-i", "1", "--url", url)
        there = project.run("call", "echo", "-i", "2", "--worker", "--wait", "--url", url)
        server.terminate()

        assert ("1\n", "2\n") == (here.stdout, there.stdout)
        assert 0 == ended(server, timeout=20)
        assert "takes jobs of app" not in project.log
    finally:
        with suppress(ProcessLookupError):
            server.kill()
        server.wait()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere:app"], ["'nowhere'"]),
        (["idle:value"], ["int"]),
        (["idle:app", "--job-workers", "1"], ["no worker backend"]),
        (["project:app", "--port", "70000"], ["--port"]),
        (["project:app", "--processes", "0"], ["--processes"]),
        (["project:app", "--log-level", "loud"], ["--log-level", "warning"]),
    ],
)
def test_wrong_input(project: Project, arguments: list[str], words: list[str]) -> None:
    """
    What is written wrongly gives exit code 2 and a sentence, before anything is served.
    """
    told = project.run(
        "serve", *arguments, "--port=0" if "--port" not in arguments else "-w0", code=2
    ).stderr

    assert [] == [word for word in words if word not in told]


def test_interrupt_twice_while_a_job_runs(project: Project, app: App) -> None:
    """
    48: Ctrl-C says that something is finished first; a second one ends it: exit code 3, the
    job's id.
    """
    server = project.start("serve", "project:app", "-p", "0", "-w", "1", "--processes", "1")
    try:
        wait_until(
            lambda: server.poll() is not None or "serving" in project.log, 30, lambda: project.log
        )
        assert app.pool is not None
        job_id = app.pool.execute_pipeline_async("hold", "1")
        wait_until((project.folder / "started").exists, message=lambda: project.log)
        told = "finishing what is under way for at most 30 s; Ctrl-C again ends it now\n"
        server.send_signal(signal.SIGINT)
        wait_until(lambda: told in project.log, message=lambda: project.log)
        server.send_signal(signal.SIGINT)

        assert 3 == ended(server, timeout=20)
    finally:
        with suppress(ProcessLookupError):
            server.kill()
        server.wait()
    assert f"left unfinished: job {job_id}\n" in project.log
    assert 1 == project.log.count("finishing")
