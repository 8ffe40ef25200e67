"""
The job store in Redis, for backends whose queue is there already. Needs the extra ``redis``.
"""

try:
    import redis as _redis  # noqa: F401 - whoever lacks it is told what to install
except ImportError as missing:
    raise ImportError(
        "a job store in Redis needs the redis package: pip install 'chariots-core[redis]'"
    ) from missing

from chariots_core.jobs_redis.store import RedisJobStore

__all__ = ["RedisJobStore"]
