"""
The job store in SQL: SQLite or PostgreSQL.
"""

from chariots_core.jobs_sql.store import SqlJobStore

__all__ = ["SqlJobStore"]
