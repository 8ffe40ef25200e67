"""
Databases that hold a store: how they are opened, shared, forked and told apart.
"""

from chariots_core.sql.database import CLOCKS, Database, Schema

__all__ = ["CLOCKS", "Database", "Schema"]
