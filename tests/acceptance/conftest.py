"""
The wheels of this checkout, and an environment that holds nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import attrs
import pytest

from tests.support import ROOT

#: The distributions of this repository, by the folder of their project file.
PROJECTS = {
    "chariots-core": ROOT,
    "chariots-dramatiq": ROOT / "plugins" / "chariots_dramatiq",
    "chariots-huey": ROOT / "examples" / "worker_plugin",
    "chariots-ml": ROOT / "plugins" / "chariots_ml",
    "chariots-rq": ROOT / "plugins" / "chariots_rq",
}


@attrs.frozen(kw_only=True)
class Installed:
    """
    An environment with the wheels in it, and a folder that is not the checkout.

    Attributes:
        bin: where its programs are.
        folder: the folder in which commands run.
    """

    bin: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """
        What commands see: nothing of the checkout, the installed programs first.
        """
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "VIRTUAL_ENV", "CHARIOTS_"))
        }
        return kept | {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}

    def run(self, *command: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """
        Runs a command of the environment to its end, and returns what it said.
        """
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def build(project: Path, folder: Path) -> Path:
    """
    Builds the wheel of *project* into *folder*.
    """
    folder.mkdir()
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    done = subprocess.run(
        [*command, "--outdir", str(folder), str(project)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(name="wheels", scope="session")
def _wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """
    The wheel of each distribution, by its name.
    """
    folder = tmp_path_factory.mktemp("wheels")
    return {name: build(project, folder / name) for name, project in PROJECTS.items()}


def new_environment(root: Path, *wanted: str) -> Installed:
    """
    A new environment below *root* with what is *wanted*, as pip is told it, and what that asks for.
    """
    venv.create(root / "env", with_pip=True, symlinks=True)
    made = Installed(bin=root / "env" / "bin", folder=root / "elsewhere")
    made.folder.mkdir()
    pip = ("python", "-m", "pip", "install", "--quiet", "--constraint")
    done = made.run(*pip, str(ROOT / "constraints.txt"), *wanted, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(name="installed", scope="session")
def _installed(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """
    A new environment with the wheels, the extra for scikit-learn, and what they ask for.
    """
    return new_environment(
        tmp_path_factory.mktemp("installed"),
        str(wheels["chariots-core"]),
        f"{wheels['chariots-ml']}[sklearn]",
    )


@pytest.fixture(name="with_kit", scope="session")
def _with_kit(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """
    A new environment as the author of a backend has it: the core with its kit, and the
    example of a plugin.
    """
    return new_environment(
        tmp_path_factory.mktemp("with_kit"),
        f"{wheels['chariots-core']}[kit]",
        str(wheels["chariots-huey"]),
    )
