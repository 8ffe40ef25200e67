"""
The backend `rq` shows what every backend must show, on a real Redis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from chariots_core.testing.conformance import WorkerPoolConformance
from tests.conftest import missing_service
from tests.redis_servers import RedisProcess, redis_program

pytestmark = pytest.mark.crash


class TestRQ(WorkerPoolConformance):
    """
    Everything, on a server that keeps a log of its changes.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def store_server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
        """
        A server that only these tests know.
        """
        if redis_program() is None:
            missing_service("a redis-server")
        server = RedisProcess(tmp_path_factory.mktemp("redis"), ("--appendonly", "yes"))
        server.start()
        yield server
        server.kill()

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls, store_server: RedisProcess) -> Mapping[str, Any]:
        """
        The backend, on that server.
        """
        return {"backend": "rq", "url": store_server.url, "resend_after": 3}
