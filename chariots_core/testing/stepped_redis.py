"""
A job store in Redis whose clock tests move: time passes without anybody waiting.
"""

from __future__ import annotations

from chariots_core.jobs_redis import RedisJobStore
from chariots_core.jobs_redis.server import RedisServer

_KEY = "chariots-test-clock"


class SteppedRedisJobStore(RedisJobStore):
    """
    A `RedisJobStore` whose clock is the server's own, moved by a number of
    seconds that the server holds: every process and every handle sees the same time.
    """

    def _offset(self) -> str:
        return f"tonumber(call('GET', '{_KEY}') or 0)"


class SteppedRedis:
    """
    A server, the handles that a test opens on it, and its clock.

    Args:
        url: of an empty database.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._server = RedisServer.at(url)
        self._opened: list[RedisJobStore] = []

    def open(self, app: str = "app") -> SteppedRedisJobStore:
        """
        A new handle on the jobs of *app*.
        """
        store = SteppedRedisJobStore(self.url, app=app)
        self._opened.append(store)
        return store

    def advance(self, seconds: float) -> None:
        """
        Let *seconds* pass.
        """
        self._server.command("INCRBY", _KEY, round(seconds * 1e6))

    def close(self) -> None:
        """
        Empty the database and close every handle.
        """
        self._server.command("FLUSHDB")
        for store in self._opened:
            store.close()
        self._server.close()
