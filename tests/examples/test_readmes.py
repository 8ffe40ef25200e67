"""
The READMEs of the examples: train, load, predict, retrain, with real servers and workers.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.examples.readme import Shell, assert_shown, commands_in, steps_of
from tests.support import ROOT

EXAMPLES = ROOT / "examples"


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["prices", "text"])
def test_page_shows_what_its_commands_print(name: str, tmp_path: Path) -> None:
    """
    Each command prints what the page shows, and the commands that a refusal names are the
    next ones of the page, which lead to a prediction.
    """
    steps = steps_of(EXAMPLES / name / "README.md")
    serve = next(index for index, step in enumerate(steps) if "chariots serve" in step.command)
    (tmp_path / "bin").mkdir()
    shutil.copytree(
        EXAMPLES / name,
        tmp_path / "copy",
        ignore=shutil.ignore_patterns(".chariots", "flats.csv", "__pycache__"),
    )
    shell = Shell(tmp_path / "copy", tmp_path / "bin")
    refusals = 0

    for step in steps[:serve]:
        assert_shown(step, shell.run(step.command)[1])
    with shell.serving(steps[serve].command):
        for index, step in enumerate(steps[serve + 1 :], start=serve + 2):
            code, printed = shell.run(step.command)
            assert_shown(step, printed)
            assert int("Error:" in step.output) == code, printed
            remedy = commands_in(printed)
            assert remedy == [each.command for each in steps[index : index + len(remedy)]]
            refusals += bool(remedy)

    assert 1 == refusals
