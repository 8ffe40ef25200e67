"""
The backend `local`: jobs of the SQL job store, run by processes; no server to install.
"""

from chariots_core.local.pool import LocalOptions, LocalWorkerPool

__all__ = ["LocalOptions", "LocalWorkerPool"]
