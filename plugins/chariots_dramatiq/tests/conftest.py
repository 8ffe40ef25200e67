"""
Apps on a Redis and a RabbitMQ of the tests' own.
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
from tests.conftest import _clean_environment, _redis_server, missing_service  # noqa: F401 - fixtures
from tests.rabbitmq_servers import RabbitProcess, rabbitmq_programs

MakeApp = Callable[..., App]


class IsOdd(BaseOp):
    """
    Whether a number is odd.
    """

    def execute(self, number: int) -> bool:
        return number % 2 == 1


def is_odd() -> Pipeline:
    """
    4 gives false.
    """
    return Pipeline([Node(IsOdd(), ["__pipeline_input__"], "__pipeline_output__")], name="is_odd")


@pytest.fixture(name="rabbitmq", scope="session")
def _rabbitmq() -> Iterator[RabbitProcess]:
    """
    A node that no test stops for good.
    """
    if rabbitmq_programs() is None:
        missing_service("a rabbitmq-server")
    node = RabbitProcess()
    node.start()
    yield node
    node.close()


@pytest.fixture(name="broker_options", params=["redis", "rabbitmq"])
def _broker_options(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """
    The backend, on each of the two brokers.
    """
    if request.param == "redis":
        return {"backend": "dramatiq", "url": request.getfixturevalue("redis_server").url}
    url = request.getfixturevalue("rabbitmq").url
    return {"backend": "dramatiq", "url": url, "job_store": f"sqlite:///{tmp_path}/jobs.db"}


@pytest.fixture(name="make_app")
def _make_app(tmp_path: Path) -> Iterator[MakeApp]:
    """
    Makes apps, each of a name that nobody else has.
    """
    made: list[App] = []

    def make(worker_pool: Any, name: str = "", **options: Any) -> App:
        app = App(
            name or f"app-{uuid.uuid4().hex[:8]}",
            [is_odd()],
            op_store=TestOpStoreClient(tmp_path / "ops"),
            worker_pool=worker_pool,
            **options,
        )
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()
