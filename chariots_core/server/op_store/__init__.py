"""
The op store over HTTP: the server's side.
"""

from chariots_core.server.op_store.server import OpStoreServer

__all__ = ["OpStoreServer"]
