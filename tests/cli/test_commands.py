"""
The command as a whole: quick, helpful, plain where no terminal is.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from chariots_core import errors
from chariots_core.cli.main import COMMANDS, CommandError
from chariots_core.client import RequestRejected, ServerFault, ServerTimeout, UnexpectedAnswer
from tests.cli.conftest import Project, read

HEAVY = {"flask", "sqlalchemy", "rich", "httpx", "pluggy", "msgspec", "attrs", "importlib.metadata"}


def test_import_is_light() -> None:
    """
    The command itself loads nothing that only some of its sub-commands need.
    """
    code = "import sys, json; import chariots_core.cli; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))

    assert set() == HEAVY & set(loaded)


def test_help_lists_every_command(project: Project) -> None:
    """
    The help names each command with a sentence.
    """
    lines = project.run("--help").stdout.splitlines()
    listed = {
        line.split()[0]: line.split()[1:]
        for line in lines
        if line.startswith("  ") and line.split()
    }

    assert [] == [name for name in COMMANDS if not listed.get(name)]


@pytest.mark.parametrize("command", [*COMMANDS, "jobs show"])
def test_help_of_each_command(project: Project, command: str) -> None:
    """
    Each command explains itself.
    """
    assert f"Usage: chariots {command}" in project.run(*command.split(), "-h").stdout


def test_unknown_command(project: Project) -> None:
    """
    A command that does not exist is exit code 2.
    """
    assert "srve" in project.run("srve", code=2).stderr


def test_version(project: Project) -> None:
    """
    The command knows its version.
    """
    assert project.run("--version").stdout.startswith("chariots, version ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigurationError("x"), 2),
        (errors.BackendMisconfigured("x"), 2),
        (errors.JobNotFound("x"), 2),
        (errors.PipelineNotFound("x"), 2),
        (errors.StoreUnavailable("x"), 3),
        (errors.SubmissionUnknown("x"), 3),
        (errors.ClientError("x"), 3),
        (UnexpectedAnswer("x", url="u", status=200), 3),
        (RequestRejected("x", status=422, slug="validation-error"), 2),
        (ServerFault("x", status=500, slug="internal-error"), 1),
        (errors.PipelineError("x"), 2),
        (errors.GraphError("x"), 2),
        (errors.NodeOutputError("x", node="n"), 1),
        (errors.ExecutionError("x"), 1),
        (errors.VersionError("x"), 1),
        (errors.WaitTimeout("x"), 1),
    ],
)
def test_exit_codes(error: errors.ChariotsError, code: int) -> None:
    """
    What is wrong, what failed and what is out of reach have exit codes of their own.
    """
    assert code == CommandError.of(error).exit_code


def test_options_are_named_as_a_command_has_them() -> None:
    """
    A server that takes too long is told in words of the command line.
    """
    error = ServerTimeout("use_worker=True may help", url="http://x", sent=True)

    assert (
        "http://x did not answer in time: try a longer --timeout" == CommandError.of(error).message
    )


def test_backends_for_people(project: Project) -> None:
    """
    On a terminal the list of backends is a table with rules; markup in it stays text.
    """
    master, slave = pty.openpty()
    process = subprocess.Popen(
        project.command("backends"), stdout=slave, env={**os.environ, "COLUMNS": "200"}
    )
    os.close(slave)
    text = b""
    while chunk := read(master):
        text += chunk
    os.close(master)

    assert 0 == process.wait(timeout=20)
    assert "local" in text.decode()
    assert "┃" in text.decode()


def test_backends_for_programs(project: Project) -> None:
    """
    With --json the list of backends is one JSON array.
    """
    found = {row["name"]: row for row in json.loads(project.run("backends", "--json").stdout)}

    assert ("backend", "chariots-core", 1, None) == tuple(
        found["local"][key] for key in ("kind", "distribution", "contract_version", "error")
    )
    assert {"priorities", "queues", "retry"} <= set(found["local"]["capabilities"])
    assert ["fresh", "thread", "warm"] == found["local"]["isolation"]
