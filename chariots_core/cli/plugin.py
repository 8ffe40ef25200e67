"""
``chariots plugin``: begin a plugin of your own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Where each file of a project comes from. The core's own wheel brings them as data.
_FILES: Final = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "src/[[package]]/__init__.py": "__init__.py",
    "src/[[package]]/plugin.py": "plugin.py",
    "src/[[package]]/pool.py": "pool.py",
    "src/[[package]]/py.typed": None,
    "tests/test_conformance.py": "test_conformance.py",
}

#: Distributions of this project: nobody else's plugin is called so.
_OURS: Final = frozenset(
    {"chariots-core", "chariots-dramatiq", "chariots-ml", "chariots-rq", "chariots-ui"}
)


@click.group()
def plugin() -> None:
    """
    Write a plugin of your own.
    """


@plugin.command()
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Where to write it; by default chariots-NAME, here.",
)
def new(*, name: str, folder: Path | None) -> None:
    """
    Write the project of a worker backend called NAME, for you to go on with.

    It works from the first minute: a queue made of files, with the tests that
    every backend has to pass.
    """
    facts = _facts(name)
    target = folder or Path(f"chariots-{name}")
    write_project(target, facts)
    click.echo(f"{target}: a worker backend {name!r}, complete and working")
    steps = {
        "pip install --editable '.[test]'": "install it, in that folder",
        "chariots backends": "see it listed",
        "pytest": "see it pass what every backend must",
        f"src/{facts['package']}/pool.py": "put your queue where it says YOURS",
    }
    width = max(map(len, steps))
    for step, what in steps.items():
        click.echo(f"  {step:{width}}   {what}")


def _facts(name: str) -> Mapping[str, str]:
    """
    What the project is told of itself, by the words that stand for it in its files.

    Raises:
        ConfigurationError: no backend may have that name.
    """
    from chariots_core import __version__
    from chariots_core.workers import CONTRACT_VERSION

    parts = re.findall(r"[a-z0-9]+", name.lower())
    distribution = "-".join(["chariots", *parts])
    _check_name(name, distribution)
    camel = "".join(part.capitalize() for part in parts)
    major, minor = __version__.split(".")[:2]
    return {
        "class": camel if camel[0].isalpha() else f"Queue{camel}",
        "contract": str(CONTRACT_VERSION),
        "core": f">={__version__},<{major}.{int(minor) + 1}",
        "distribution": distribution,
        "name": name,
        "package": "_".join(["chariots", *parts]),
    }


def _check_name(name: str, distribution: str) -> None:
    from chariots_core.errors import ConfigurationError
    from chariots_core.workers.discovery import BACKEND_NAME, BACKENDS_GROUP, find_entries

    if not BACKEND_NAME.fullmatch(name):
        raise ConfigurationError(
            f"no backend can be called {name!r}: give letters, digits, '_', '.' and '-', "
            "64 at most, of which the first is a letter or a digit"
        )
    if distribution in _OURS:
        raise ConfigurationError(
            f"a backend called {name!r} would come with {distribution!r}, which is a "
            "distribution of Chariots: choose another name"
        )
    for entry in find_entries(BACKENDS_GROUP):
        if entry.name == name and entry.distribution != distribution:
            raise ConfigurationError(
                f"a backend called {name!r} is installed, from {entry.distribution!r}: "
                "choose another name"
            )


def write_project(folder: Path, facts: Mapping[str, str]) -> None:
    """
    Write every file of a project, and none that is there.

    Raises:
        ConfigurationError: the folder is no empty one, or cannot be written.
    """
    from importlib.resources import files

    from chariots_core.errors import ConfigurationError

    templates = files("chariots_core.cli") / "worker_plugin"
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigurationError(
                f"{str(folder)!r} is there and is no empty folder, so nothing was written: "
                "name another one by --folder"
            )
        for path, source in _FILES.items():
            text = "" if source is None else (templates / f"{source}.tmpl").read_text("utf-8")
            target = folder / _filled(path, facts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("x", encoding="utf-8") as file:
                file.write(_filled(text, facts))
    except OSError as error:
        raise ConfigurationError(
            f"the project cannot be written to {str(folder)!r}: {error}; name another "
            "folder by --folder"
        ) from error


def _filled(text: str, facts: Mapping[str, str]) -> str:
    for word, value in facts.items():
        text = text.replace(f"[[{word}]]", value)
    return text
