"""
The backend `rq` shows what every backend must show, on a real Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from chariots_core.queues import RedisTransport
from chariots_core.testing.conformance import WorkerPoolConformance
from chariots_core.testing.conformance.harness import Deployment
from chariots_rq import RQWorkerPool
from tests.conftest import missing_service
from tests.redis_servers import RedisBroker, RedisProcess, redis_program
from tests.support import trim_kit

pytestmark = pytest.mark.crash

#: What a job store beside the queue could break: the rest of the kit says nothing of it.
ON_SQLITE = ("test_06_", "test_07_", "test_09_", "test_17_", "test_21_a_", "test_34_", "test_38_", "test_39_", "test_40_",
             "test_41_", "test_46_", "test_47_", "test_49_")  # fmt: skip


class OnRedis(WorkerPoolConformance):
    """
    A server that keeps a log of its changes.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
        """
        A server that only these tests know.
        """
        if redis_program() is None:
            missing_service("a redis-server")
        server = RedisProcess(
            tmp_path_factory.mktemp("redis"), ("--appendonly", "yes", "--appendfsync", "always")
        )
        server.start()
        yield server
        server.kill()

    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls, server: RedisProcess) -> RedisBroker:
        """
        That server.
        """
        return RedisBroker(server, "rq:*")

    @pytest.fixture(scope="class")
    @classmethod
    def inject(cls) -> Callable[[Deployment, bytes], None]:
        """
        Puts bytes where RQ puts the ids of its jobs.
        """

        def push(deployment: Deployment, message: bytes) -> None:
            pool = deployment.pool
            assert isinstance(pool, RQWorkerPool)
            assert isinstance(pool.transport, RedisTransport)
            queue = pool.transport.queue(deployment.config.name, "default").key
            pool.client.rpush(queue, message)

        return push


class TestRQ(OnRedis):
    """
    Everything, with the jobs in the queue's own Redis.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def store_server(cls, server: RedisProcess) -> RedisProcess:
        """
        The jobs' server is the queue's.
        """
        return server

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls, server: RedisProcess) -> Mapping[str, Any]:
        """
        The backend, on that server, with little patience.
        """
        return {
            "backend": "rq",
            "url": server.url,
            "redis_kwargs": {"socket_timeout": 2},
            "resend_after": 3,
        }


class TestRQWithJobsInSQLite(OnRedis):
    """
    What differs where the jobs are kept in another place than the queue.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def settings(
        cls, server: RedisProcess, tmp_path_factory: pytest.TempPathFactory
    ) -> Mapping[str, Any]:
        """
        The backend, on that server, and a file.
        """
        store = tmp_path_factory.mktemp("store") / "jobs.db"
        return {
            "backend": "rq",
            "url": server.url,
            "redis_kwargs": {"socket_timeout": 2},
            "resend_after": 3,
            "job_store": f"sqlite:///{store}",
        }


trim_kit(TestRQWithJobsInSQLite, *ON_SQLITE)
