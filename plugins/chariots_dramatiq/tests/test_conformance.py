"""
The backend `dramatiq` shows what every backend must show, on a real Redis and a real RabbitMQ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from chariots_core.queues import RedisTransport
from chariots_core.testing.conformance import WorkerPoolConformance
from chariots_core.testing.conformance.harness import Deployment
from chariots_dramatiq import DramatiqWorkerPool
from chariots_dramatiq.messages import queue_name
from tests.conftest import missing_service
from tests.rabbitmq_servers import RabbitProcess, rabbitmq_programs
from tests.redis_servers import RedisBroker, RedisProcess, redis_program
from tests.support import trim_kit

pytestmark = pytest.mark.crash


class TestDramatiqOnRedis(WorkerPoolConformance):
    """
    Messages and jobs in one Redis, which keeps a log of its changes.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def store_server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
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
    def broker(cls, store_server: RedisProcess) -> RedisBroker:
        """
        That server.
        """
        return RedisBroker(store_server, "dramatiq:*")

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls, store_server: RedisProcess) -> Mapping[str, Any]:
        """
        The backend, on that server, with little patience.
        """
        return {
            "backend": "dramatiq",
            "url": f"{store_server.url}?socket_timeout=2",
            "resend_after": 3,
        }

    @pytest.fixture(scope="class")
    @classmethod
    def inject(cls, store_server: RedisProcess) -> Callable[[Deployment, bytes], None]:
        """
        Puts bytes where Dramatiq puts the ids of its messages, and their text.
        """

        def push(deployment: Deployment, message: bytes) -> None:
            pool = deployment.pool
            assert isinstance(pool, DramatiqWorkerPool)
            assert isinstance(pool.transport, RedisTransport)
            queue = pool.transport.queue(deployment.config.name, "default").key
            with store_server.client() as client:
                client.hset(f"{queue}.msgs", message.decode("latin-1"), message)
                client.rpush(queue, message)

        return push


#: Beyond the main behaviours, what is not said of the same transport under RQ.
ON_REDIS = ("test_17_", "test_27_", "test_34_", "test_38_", "test_39_", "test_40_", "test_41_",
            "test_46_", "test_47_", "test_49_", "test_67_")  # fmt: skip
trim_kit(TestDramatiqOnRedis, *ON_REDIS, basic=True)


class RabbitBroker:
    """
    The node as the kit wants it: a broker that it may stop.
    """

    def __init__(self, node: RabbitProcess) -> None:
        self.stop = node.stop
        self.start = node.start
        self.flush = node.flush
        self.pause = node.freeze
        self.resume = node.thaw


class TestDramatiqOnRabbitMQ(WorkerPoolConformance):
    """
    Messages in RabbitMQ, jobs in a SQLite file.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def node(cls) -> Iterator[RabbitProcess]:
        """
        A node that only these tests know.
        """
        if rabbitmq_programs() is None:
            missing_service("a rabbitmq-server")
        node = RabbitProcess()
        node.start()
        yield node
        node.close()

    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls, node: RabbitProcess) -> RabbitBroker:
        """
        That node.
        """
        return RabbitBroker(node)

    @pytest.fixture(scope="class")
    @classmethod
    def settings(
        cls, node: RabbitProcess, tmp_path_factory: pytest.TempPathFactory
    ) -> Mapping[str, Any]:
        """
        The backend, on that node, with little patience.
        """
        store = tmp_path_factory.mktemp("store") / "jobs.db"
        return {
            "backend": "dramatiq",
            "url": node.url,
            "resend_after": 3,
            "job_store": f"sqlite:///{store}",
        }

    @pytest.fixture(scope="class")
    @classmethod
    def inject(cls, node: RabbitProcess) -> Callable[[Deployment, bytes], None]:
        """
        Publishes bytes to the queue, without a word on what they are.
        """

        def publish(deployment: Deployment, message: bytes) -> None:
            name = queue_name(deployment.config.name, "default")
            with node.connect() as connection:
                connection.channel().basic_publish("", name, message)

        return publish
