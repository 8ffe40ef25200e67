"""
Apps that give their connections back at the end of a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.local.app import PlainApp

MakeApp = Callable[..., PlainApp]


@pytest.fixture(name="make_app")
def _make_app() -> Iterator[MakeApp]:
    """
    Makes an app around a pool.
    """
    made: list[PlainApp] = []

    def make(pool: Any, **options: Any) -> PlainApp:
        app = PlainApp(options.pop("name", "plain"), worker_pool=pool, **options)
        made.append(app)
        return app

    yield make
    for app in made:
        app.pool.close()
