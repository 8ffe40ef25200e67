"""
Runs the commands of an example's README, and holds their output against the page.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from tests.support import wait_until

_ADDRESS = re.compile(r"http://[\w.:]+")
_COMMAND = re.compile(r"`(chariots [^`]+)`")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")


@attrs.frozen
class Step:
    """
    A command of a page and the output that the page shows.
    """

    command: str
    output: str


def steps_of(page: Path) -> list[Step]:
    """
    Return the commands in the console blocks of *page*, in order.
    """
    blocks = re.findall(
        r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [
        Step(*(part.strip() for part in text.partition("\n")[::2]))
        for block in blocks
        for text in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    ]


def commands_in(text: str) -> list[str]:
    """
    Return the commands that a refusal tells its reader to run.
    """
    return _COMMAND.findall(" ".join(text.split()))


class Shell:
    """
    A terminal in the folder of a copied example, where the page's commands are found.

    Args:
        folder: the copy; the server logs there.
        bin: a folder for the commands.
    """

    def __init__(self, folder: Path, bin: Path) -> None:
        self.folder = folder
        self._log = bin / "serve.log"
        self._environment = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}"}
        for name, start in ("chariots", "-m chariots_core.cli"), ("python", ""):
            script = bin / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {start} "$@"\n')
            script.chmod(0o755)

    def run(self, command: str) -> tuple[int, str]:
        """
        Return the exit code of a command and all that it printed.
        """
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout

    @contextmanager
    def serving(self, command: str) -> Iterator[None]:
        """
        Serve by *command*, on a free port; other commands call that server.
        """
        with self._log.open("wb") as output:
            server = subprocess.Popen(
                f"exec {command} --port 0 --processes 1",
                shell=True,
                cwd=self.folder,
                env=self._environment,
                stdout=output,
                stderr=output,
            )
        try:
            found = wait_until(
                lambda: server.poll() is not None or _ADDRESS.search(self._log.read_text()),
                60,
                self._log.read_text,
            )
            assert isinstance(found, re.Match), self._log.read_text()
            self._environment["CHARIOTS_URL"] = found[0]
            yield
        finally:
            server.terminate()
            assert 0 == server.wait(40), self._log.read_text()


def assert_shown(step: Step, printed: str) -> None:
    """
    Fail unless a command printed what the page shows.

    Spaces, ids and versions may differ, numbers by a tenth: the models differ a little from
    one release of scikit-learn to the next. A page shortens versions, and leaves out progress.
    """
    expected, actual = _plain(step.output), _plain(printed)
    assert _NUMBER.sub("#", expected) == _NUMBER.sub("#", actual), printed
    numbers = [float(number) for number in _NUMBER.findall(expected)]
    assert numbers == pytest.approx([float(each) for each in _NUMBER.findall(actual)], rel=0.1)


def _plain(text: str) -> str:
    lines = [line for line in text.splitlines() if not re.match(r"\d+/\d+ ", line)]
    # a page is wrapped, and a terminal indents lists; none of these tells words apart
    text = re.sub(r"([\[\]{},])", r" \1 ", " ".join(lines))
    text = re.sub(r"\b[0-9a-f]{12}\.\.\.|\b[0-9a-f]{40}\.[\w.:+-]+", "VERSION", text)
    text = re.sub(r"\b[0-9a-f]{7}(\.[0-9a-f]{7}){2}\b", "VERSION", text)
    text = re.sub(r"\b([0-9a-f]{32}|[0-9a-f]{16})\b", "ID", text)
    return " ".join(_ADDRESS.sub("ADDRESS", text).split())
