"""
The tools of continuous integration do what they say.
"""

from __future__ import annotations

import os
import shutil
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

#: Stands in for make: tells what it was asked for, and counts one test that passed.
MAKE = """#!/bin/sh
echo "make $* CI=${CI-} hidden=${CHARIOTS_TEST_NO_SERVICES-}"
echo '{"passed": 1, "failed": 0, "skipped": 0}' >> "$CHARIOTS_TEST_TALLY"
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


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path) -> Path:
    """
    A folder with the scripts and a make that runs nothing.
    """
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    make = tmp_path / "bin" / "make"
    make.parent.mkdir()
    make.write_text(MAKE)
    make.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("ci", [None, "false", "true"])
def test_services_are_promised_where_they_are_not_hidden(checkout: Path, ci: str | None) -> None:
    """
    The step with services has CI=true, whatever the caller's is; the others have none to miss.
    """
    given = {"PATH": f"{checkout / 'bin'}:{os.environ['PATH']}"} | ({"CI": ci} if ci else {})
    done = subprocess.run(
        [checkout / ".ci" / "run"], env=given, capture_output=True, text=True, check=True
    )
    plugins = "PYTEST_ARGS=plugins/chariots_rq plugins/chariots_dramatiq"
    steps = [line for line in done.stdout.splitlines() if line.startswith("make ")]

    assert [
        "make --keep-going check CI=true hidden=",
        "make test-rq2 CI=true hidden=",
        f"make demo CI={ci or ''} hidden=1",
        f"make test-fast CI={ci or ''} hidden=1",
        f"make test {plugins} CI={ci or ''} hidden=1",
    ] == steps
    assert "5 passed, 0 failed, 0 skipped" == done.stdout.splitlines()[-1]


def skips(path: Path) -> list[str]:
    """
    The libraries without which a module of tests is left out.
    """
    calls = path.read_text(encoding="utf-8").split("importorskip(")[1:]
    return [call.split(")")[0].strip("\"'") for call in calls]


def test_only_keras_may_be_missing() -> None:
    """
    A library that the setup installs is imported: a test that misses it fails.
    """
    found = {
        str(path.relative_to(ROOT)): missed
        for folder in ("tests", "plugins/chariots_ml/tests")
        for path in (ROOT / folder).rglob("*.py")
        if path != Path(__file__) and (missed := skips(path))
    }

    assert {"plugins/chariots_ml/tests/test_keras.py": ["keras"]} == found
