"""
The processes of an app: what each of them serves.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.values import ProcessReport

#: Seconds between two reports that say the same, and for which one is believed.
EVERY: Final = 10.0
_BELIEVED: Final = 45.0


class Presence:
    """
    Reports what this process serves to the op store, so that others can show it.

    Args:
        app: the app's name.
        client: the op store.
        serving: gives the revision of the store that was seen, and pipeline to the
            generation that is served here.
    """

    def __init__(
        self,
        app: str,
        client: BaseOpStoreClient,
        serving: Callable[[], tuple[int, Mapping[str, int]]],
    ) -> None:
        self.kind = "process"
        self._app = app
        self._client = client
        self._serving = serving
        self._id = ""
        self._pid = 0
        self._reported_at = 0.0
        self._reported: tuple[int, Mapping[str, int]] = (-1, {})

    def report(self) -> None:
        """
        Report what is served here, unless the store knows it already.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        revision, serving = self._serving()
        is_known = self._is_mine() and (revision, serving) == self._reported
        if is_known and time.monotonic() < self._reported_at + EVERY:
            return
        if not self._is_mine():
            # a forked process is another one
            self._id, self._pid = secrets.token_hex(16), os.getpid()
        process = ProcessReport(
            id=self._id,
            app=self._app,
            host=socket.gethostname(),
            pid=self._pid,
            kind=self.kind,
            revision=max(revision, 0),
            serving=serving,
        )
        self._client.report(process, seconds=_BELIEVED)
        self._reported_at, self._reported = time.monotonic(), (revision, serving)

    def processes(self) -> Sequence[ProcessReport]:
        """
        Return the processes of the app that have reported lately.
        """
        return self._client.processes(self._app)

    def _is_mine(self) -> bool:
        return self._pid == os.getpid()
