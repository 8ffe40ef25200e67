"""
The steps that the example and the tutorial tell a reader to type, typed as they stand.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ROOT, wait_until

IRIS = ROOT / "examples" / "iris"
TUTORIAL = ROOT / "docs" / "tutorials" / "first-model.md"


def steps_in(text: str) -> list[list[str]]:
    """
    The command lines of ``chariots`` in *text*, split as a shell does.
    """
    lines = (line.strip().removeprefix("$ ") for line in text.splitlines())
    return [shlex.split(line)[1:] for line in lines if line.startswith("chariots ")]


def of_the_example(folder: Path) -> list[list[str]]:
    """
    Put the example into *folder*; gives the steps of its docstring.
    """
    source = (IRIS / "app.py").read_text(encoding="utf-8")
    (folder / "app.py").write_text(source, encoding="utf-8")
    return steps_in(ast.get_docstring(ast.parse(source)) or "")


def of_the_tutorial(folder: Path) -> list[list[str]]:
    """
    Put the app of the tutorial into *folder*, as its last section says; gives the steps there.
    """
    text, end = TUTORIAL.read_text(encoding="utf-8").split("\n## From here\n")
    blocks = re.findall(
        r"^```python\n(.*?)^```", text.split("\n## Train\n")[0], re.MULTILINE | re.DOTALL
    )
    source = "".join(block for block in blocks if not block.startswith(">>>"))
    without_client = source.replace("client = TestPipelinesClient(app)\n", "")
    assert without_client != source
    (folder / "my_app.py").write_text(without_client, encoding="utf-8")
    return steps_in(end)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("prepare", "answer"), [(of_the_example, '["setosa"]\n'), (of_the_tutorial, "[0]\n")]
)
def test_steps_lead_to_a_prediction(
    prepare: Callable[[Path], list[list[str]]], answer: str, tmp_path: Path
) -> None:
    """
    Each step goes well, and the last one prints a prediction of what was trained.
    """
    serve, *calls = prepare(tmp_path)
    command = [sys.executable, "-m", "chariots_core.cli"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        # on a port of its own: 5000 may be somebody's
        server = subprocess.Popen(
            [*command, *serve, "--port=0", "--processes=1"],
            cwd=tmp_path,
            stdout=output,
            stderr=output,
        )
    try:
        address = re.compile(r"http://[\w.:]+")
        found = wait_until(
            lambda: server.poll() is not None or address.search(log.read_text()),
            60,
            log.read_text,
        )
        assert isinstance(found, re.Match), log.read_text()
        printed = ""
        for call in calls:
            done = subprocess.run(
                [*command, *call],
                cwd=tmp_path,
                env={**os.environ, "CHARIOTS_URL": found[0]},
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
            assert 0 == done.returncode, f"{call}: {done.stderr}\n{log.read_text()}"
            printed = done.stdout
        assert answer == printed
    finally:
        server.terminate()
        server.wait(40)
