"""
The op store over HTTP: what goes over the wire, and the client.

The server is in `chariots_core.server`, with all that is Flask.
"""

from chariots_core.op_store_http.client import OpStoreClient

__all__ = ["OpStoreClient"]
