"""
An op store for tests: a folder, usable at once.
"""

from __future__ import annotations

import os
from pathlib import Path

from chariots_core.op_store.savers import FileSaver
from chariots_core.op_store.sql_store import LocalOpStoreClient


class TestOpStoreClient(LocalOpStoreClient):
    """
    An op store in a folder: an SQLite database and files.

    >>> client = TestOpStoreClient(tmp_path)
    >>> client.pipeline_exists("is_odd")
    False

    Args:
        path: the folder; it is made when it is first needed.
    """

    #: this is no test, whatever its name says to a test runner
    __test__ = False

    def __init__(self, path: str | os.PathLike[str]) -> None:
        folder = Path(path)
        super().__init__(f"sqlite:///{folder.absolute()}/op_store.db", FileSaver(folder))
        self.server = _Server(self)


class _Server:
    """
    What older code reaches for behind the client: ``client.server.db.create_all()``.
    """

    def __init__(self, client: LocalOpStoreClient) -> None:
        self.db = _Tables(client)


class _Tables:
    def __init__(self, client: LocalOpStoreClient) -> None:
        self._client = client

    def create_all(self) -> None:
        """
        Make the tables now; the first use would make them, too.
        """
        self._client.ping()
