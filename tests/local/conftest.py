"""
An app on the backend `local`, in a folder of the test's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.app import PlainApp, local_app


@pytest.fixture(name="app")
def _app(tmp_path: Path) -> Iterator[PlainApp]:
    app = local_app(tmp_path)
    yield app
    app.pool.close()
