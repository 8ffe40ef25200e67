"""
``chariots op-store``: an op store over HTTP by one command.
"""

from __future__ import annotations

import re
from contextlib import suppress

import pytest

from chariots_core.op_store_http import OpStoreClient
from tests.cli.conftest import Project, ended
from tests.support import wait_until

SERVER = """
from chariots_core.server.op_store import OpStoreServer
from chariots_core.op_store.savers import FileSaver

server = OpStoreServer(url="sqlite:///mine.db", saver=FileSaver("mine"), import_name="mine")
number = 3
"""


@pytest.mark.parametrize(
    ("arguments", "name", "file"),
    [([], "op_store", ".chariots/op_store.db"), (["own:server"], "mine", "mine.db")],
)
def test_serve_and_stop(project: Project, arguments: list[str], name: str, file: str) -> None:
    """
    The store of the environment, or one of the project's own, is served until SIGTERM.
    """
    (project.folder / "own.py").write_text(SERVER)
    server = project.start("op-store", *arguments, "--port", "0")
    try:
        found = wait_until(
            lambda: server.poll() is not None or re.search(r"serving (\S+) on (\S+)", project.log),
            30,
            lambda: project.log,
        )
        assert isinstance(found, re.Match), project.log
        client = OpStoreClient(found[2])
        client.register_name("p")
        known = client.known_pipelines()
        client.close()
        server.terminate()

        assert (name, frozenset({"p"}), 0) == (found[1], known, ended(server, timeout=20))
        assert (project.folder / file).exists()
    finally:
        with suppress(ProcessLookupError):
            server.kill()
        server.wait()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere:server"], ["'nowhere'"]),
        (["own:number"], ["int", "OpStoreServer"]),
        (["--port", "70000"], ["--port"]),
    ],
)
def test_wrong_input(project: Project, arguments: list[str], words: list[str]) -> None:
    """
    What is written wrongly gives exit code 2 and a sentence, before anything is served.
    """
    (project.folder / "own.py").write_text(SERVER)
    told = project.run("op-store", *arguments, code=2).stderr

    assert [] == [word for word in words if word not in told]


def test_server_of_a_server_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where the environment names a server, there is no store here to serve.
    """
    monkeypatch.setenv("CHARIOTS_OP_STORE", "http://user:hunter2@ops:5001")
    told = project.run("op-store", code=2).stderr

    assert "'http://ops:5001'" in told
    assert "hunter2" not in told
