"""
The op store of an app that names none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store_http.address import is_server_address
from chariots_core.workers.pool import absolute_url

#: Where versions are kept, and the bytes beside them, unless somebody says otherwise.
DEFAULT_URL: Final = "sqlite:///.chariots/op_store.db"
DEFAULT_FOLDER: Final = ".chariots/ops"


def default_op_store() -> BaseOpStoreClient:
    """
    The op store of an app that names none: what ``CHARIOTS_OP_STORE`` says, the
    address of a server or of a database, else a SQLite file in ``.chariots``.
    The bytes are with the server, or beside the database.
    """
    url = os.environ.get("CHARIOTS_OP_STORE") or DEFAULT_URL
    if is_server_address(url):
        from chariots_core.op_store_http.client import OpStoreClient

        return OpStoreClient(url)
    from chariots_core.op_store.savers import FileSaver
    from chariots_core.op_store.sql_store import LocalOpStoreClient

    folder = os.environ.get("CHARIOTS_OP_STORE_FILES") or DEFAULT_FOLDER
    return LocalOpStoreClient(absolute_url(url), FileSaver(Path(folder).absolute()))
