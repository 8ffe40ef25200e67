"""
The job store in Redis, for backends whose queue is there already. Needs the extra ``redis``.
"""

from chariots_core.jobs_redis.store import RedisJobStore

__all__ = ["RedisJobStore"]
