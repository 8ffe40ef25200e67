"""
The tools of continuous integration do what they say.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

PROBE = """
command -v redis-server postgres initdb psql pg_ctl
echo "hidden: $CHARIOTS_TEST_NO_SERVICES"
python3 -c 'import sys; print("python:", sys.version_info >= (3, 11))'
command -v make > /dev/null && echo "make: there"
"""


@pytest.fixture(name="fresh")
def _fresh(tmp_path: Path) -> list[str]:
    """
    The beginning of a command that runs as on a fresh machine.
    """
    return [str(ROOT / ".ci" / "without-services"), str(tmp_path)]


def test_fresh_machine_has_python_and_make_only(fresh: list[str]) -> None:
    """
    No server program is on PATH, tests are told so, and Python and make are there.
    """
    done = subprocess.run(
        [*fresh, "bash", "-c", PROBE], capture_output=True, text=True, check=False
    )

    assert ["hidden: 1", "python: True", "make: there"] == done.stdout.splitlines(), done.stderr


def test_fresh_machine_passes_the_exit_code_on(fresh: list[str]) -> None:
    """
    A step that fails there has failed.
    """
    done = subprocess.run([*fresh, "bash", "-c", "exit 7"], check=False)

    assert 7 == done.returncode
