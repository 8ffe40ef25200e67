"""
Apps on a Redis of the tests' own.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chariots_core.app import App
from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.testing import TestOpStoreClient
from tests.conftest import _clean_environment, _redis_server  # noqa: F401 - fixtures
from tests.redis_servers import RedisProcess

MakeApp = Callable[..., App]


class IsOdd(BaseOp):
    """
    Whether a number is odd.
    """

    def execute(self, number: int) -> bool:
        return number % 2 == 1


def is_odd() -> Pipeline:
    """
    The pipeline of the guide: 4 gives false.
    """
    return Pipeline([Node(IsOdd(), ["__pipeline_input__"], "__pipeline_output__")], name="is_odd")


@pytest.fixture(name="make_app")
def _make_app(tmp_path: Path, redis_server: RedisProcess) -> Iterator[MakeApp]:
    """
    Makes apps on the shared server, each of a name that nobody else has.
    """
    made: list[App] = []

    def make(worker_pool: Any = None, name: str = "", **options: Any) -> App:
        app = App(
            name or f"app-{uuid.uuid4().hex[:8]}",
            [is_odd()],
            op_store=TestOpStoreClient(tmp_path / "ops"),
            worker_pool=worker_pool or {"backend": "rq", "url": redis_server.url},
            **options,
        )
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()
