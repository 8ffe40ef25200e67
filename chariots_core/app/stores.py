"""
The op store of an app that names none.
"""

from __future__ import annotations

import os
from pathlib import Path

from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.workers.pool import absolute_url


def default_op_store() -> BaseOpStoreClient:
    """
    The op store of an app that names none: what ``CHARIOTS_OP_STORE`` says, a
    database's address, else a SQLite file in ``.chariots``; the bytes beside it.
    """
    from chariots_core.op_store.savers import FileSaver
    from chariots_core.op_store.sql_store import LocalOpStoreClient

    url = os.environ.get("CHARIOTS_OP_STORE") or "sqlite:///.chariots/op_store.db"
    folder = os.environ.get("CHARIOTS_OP_STORE_FILES") or ".chariots/ops"
    return LocalOpStoreClient(absolute_url(url), FileSaver(Path(folder).absolute()))
