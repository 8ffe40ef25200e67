"""
Throw-away distributions with entry points: built by hand, installed by pip, used by name.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Distribution:
    """
    What is in a distribution.

    Attributes:
        name: its name.
        modules: the text of each of its modules, by file name.
        entry_points: by group, the target of each name.
        version: its version.
    """

    name: str
    modules: Mapping[str, str]
    entry_points: Mapping[str, Mapping[str, str]]
    version: str = "1.0"

    def build(self, folder: Path) -> Path:
        """
        Write it as a wheel.
        """
        stem = f"{self.name.replace('-', '_')}-{self.version}"
        files = {path: dedent(text) for path, text in self.modules.items()}
        files[f"{stem}.dist-info/METADATA"] = (
            f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n"
        )
        files[f"{stem}.dist-info/WHEEL"] = (
            "Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        files[f"{stem}.dist-info/entry_points.txt"] = "\n".join(
            f"[{group}]\n" + "\n".join(f"{name} = {target}" for name, target in names.items())
            for group, names in self.entry_points.items()
        )
        record = "".join(
            f"{path},sha256={_digest(text)},{len(text.encode())}\n" for path, text in files.items()
        )
        files[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n"
        wheel = folder / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
        return wheel


def backend(name: str, module: str, source: str, **facts: Any) -> Distribution:
    """
    A distribution named like its module, with one backend.
    """
    return Distribution(
        name=facts.pop("distribution", module.replace("_", "-")),
        modules={f"{module}.py": source},
        entry_points={"chariots.worker_backends": {name: module}},
        **facts,
    )


def plugin(name: str, module: str, source: str) -> Distribution:
    """
    A distribution named like its module, with one plugin that is no backend.
    """
    return Distribution(
        name=module.replace("_", "-"),
        modules={f"{module}.py": source},
        entry_points={"chariots.plugins": {name: module}},
    )


def install(distributions: Iterable[Distribution], target: Path, work: Path) -> Path:
    """
    Build distributions in *work* and install them into the folder *target*.
    """
    wheels = [str(distribution.build(work)) for distribution in distributions]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run(
        [*pip, "--disable-pip-version-check", "--target", str(target), *wheels],
        check=True,
        timeout=60,
    )
    return target


def run_python(
    source: str, *, site: Path, cwd: Path, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """
    Run a program where the distributions of *site* are installed.

    Returns:
        What it printed, as JSON, under its own names; and under ``stderr`` what
        it wrote there.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", dedent(source)],
        cwd=cwd,
        env={**os.environ, **(env or {}), "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return {**json.loads(done.stdout), "stderr": done.stderr}


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
