"""
`RedisJobStore` keeps the contract of job stores, on a real server.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chariots_core.testing.job_store_contract import JobStoreContract
from chariots_core.testing.stepped_redis import SteppedRedis
from tests.redis_servers import RedisProcess


class TestRedisJobStore(JobStoreContract):
    """
    A server of the tests' own.
    """

    @pytest.fixture
    def harness(self, redis_server: RedisProcess) -> Iterator[SteppedRedis]:
        """
        An empty database.
        """
        harness = SteppedRedis(redis_server.url)
        yield harness
        harness.close()
