"""
A worker backend by somebody else: installed from its wheel, proved by the installed kit.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import Installed, build
from tests.support import ROOT

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.crash,
    pytest.mark.slow,
    pytest.mark.timeout(400),
]

EXAMPLE = ROOT / "examples" / "worker_plugin"

#: Some behaviours of each kind: a look-up, a result, a kill -9, a stop, an option, rubbish.
QUICK = (
    "test_10_",
    "test_12_another",
    "test_27_",
    "test_32_",
    "test_46_a_stopping",
    "test_53_a_job",
    "test_56_",
    "test_61_a_spawned_worker_dies",
)


def run_kit(installed: Installed, tests: Path) -> dict[str, int]:
    """
    How many tests of a quick selection passed, were skipped and so on.
    """
    chosen = " or ".join(QUICK)
    # Its own settings, not those that pytest would find above the folder.
    options = ("-q", "-p", "no:cacheprovider", "--rootdir", str(tests), "-c", "/dev/null")
    done = installed.run("python", "-m", "pytest", *options, "-k", chosen, str(tests), timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return {word: int(n) for n, word in re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])}


def test_example_is_listed(with_kit: Installed) -> None:
    """
    The installed plugin is found by its entry point, and says what it can do.
    """
    done = with_kit.run("chariots", "backends", "--json")
    found = {row["name"]: row for row in json.loads(done.stdout)}

    assert ("chariots-huey", 1, None) == tuple(
        found["huey"][key] for key in ("distribution", "contract_version", "error")
    )
    assert {"priorities", "queues", "spawn"} <= set(found["huey"]["capabilities"])


def test_example_passes_the_kit(with_kit: Installed, tmp_path: Path) -> None:
    """
    The kit of the installed core, subclassed by the example's tests, passes on the
    installed example: nothing of the checkout is on the path.
    """
    tests = shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")

    counts = run_kit(with_kit, tests)

    assert len(QUICK) <= counts["passed"]
    assert "skipped" not in counts


def test_new_plugin_passes_the_kit(with_kit: Installed, tmp_path: Path) -> None:
    """
    The installed command writes a project whose wheel is a backend, and passes the kit.
    """
    project = tmp_path / "project"
    written = with_kit.run("chariots", "plugin", "new", "my-queue", "--folder", str(project))
    assert 0 == written.returncode, written.stderr
    wheel = build(project, tmp_path / "wheel")
    done = with_kit.run("python", "-m", "pip", "install", "--quiet", "--no-index", str(wheel))
    assert 0 == done.returncode, done.stderr
    tests = shutil.copytree(project / "tests", tmp_path / "tests")

    counts = run_kit(with_kit, tests)

    # Priorities are not declared.
    assert (len(QUICK) - 1 <= counts["passed"], 1) == (True, counts["skipped"])
