"""
A folder with configuration files, and servers that are closed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.apps import close_all

#: Writes a configuration file, and gives its path.
Write = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """
    Relative paths lead into the test's own folder, and what it has made is closed.
    """
    monkeypatch.chdir(tmp_path)
    yield
    close_all()


@pytest.fixture(name="write")
def _write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(dedent(text), encoding="utf-8")
        return path

    return write
