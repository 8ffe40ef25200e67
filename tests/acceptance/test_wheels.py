"""
What is in the wheels: everything that is imported, and nothing else.
"""

from __future__ import annotations

import configparser
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.support import ROOT

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(400),
]

SOURCES = {
    "chariots-core": [ROOT / "chariots_core", ROOT / "chariots"],
    "chariots-dramatiq": [ROOT / "plugins" / "chariots_dramatiq" / "src" / "chariots_dramatiq"],
    "chariots-ml": [ROOT / "plugins" / "chariots_ml" / "src" / "chariots_ml"],
    "chariots-rq": [ROOT / "plugins" / "chariots_rq" / "src" / "chariots_rq"],
}


def names_in(wheel: Path) -> set[str]:
    """
    The files of a wheel.
    """
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def text_in(wheel: Path, ending: str) -> str:
    """
    The one file of a wheel whose name ends so.
    """
    (name,) = [name for name in names_in(wheel) if name.endswith(ending)]
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name).decode()


@pytest.mark.parametrize("project", sorted(SOURCES))
def test_wheel_holds_the_source_and_nothing_else(project: str, wheels: dict[str, Path]) -> None:
    """
    Every module and data file of the packages is in the wheel; no test is.
    """
    expected = {
        path.relative_to(package.parent).as_posix()
        for package in SOURCES[project]
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    found = {name for name in names_in(wheels[project]) if ".dist-info/" not in name}

    assert expected == found


@pytest.mark.parametrize("project", sorted(SOURCES))
def test_wheel_is_typed_and_licensed(project: str, wheels: dict[str, Path]) -> None:
    """
    Each package carries its marker for type checkers, each wheel its licence.
    """
    names = names_in(wheels[project])
    markers = {f"{package.name}/py.typed" for package in SOURCES[project]}
    licences = {name for name in names if name.endswith(".dist-info/licenses/LICENSE")}

    assert (markers, 1) == (names & markers, len(licences))


def test_core_declares_its_command_and_backend(wheels: dict[str, Path]) -> None:
    """
    The command and the built-in backend are entry points, as for any plugin.
    """
    points = configparser.ConfigParser()
    points.read_string(text_in(wheels["chariots-core"], "entry_points.txt"))

    assert (
        {"chariots": "chariots_core.cli:main"},
        {"local": "chariots_core.local.plugin"},
    ) == (dict(points["console_scripts"]), dict(points["chariots.worker_backends"]))


def test_core_asks_for_little(wheels: dict[str, Path]) -> None:
    """
    Whoever installs the core alone gets no queue, no database driver and no ML library.
    """
    metadata = Parser().parsestr(text_in(wheels["chariots-core"], "METADATA"))
    required = {
        line.partition(";")[0].split(">")[0].strip()
        for line in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in line
    }

    assert set() == required & {"redis", "rq", "dramatiq", "celery", "numpy", "psycopg", "pyyaml"}
