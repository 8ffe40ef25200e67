"""
Presence reports: which sets each process of an app serves.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.values import ServingReport

#: Seconds between two equal reports, and seconds for which a report is valid.
EVERY: Final = 10.0
_BELIEVED: Final = 25.0


class Presence:
    """
    The presence of this process in the op store: which sets it serves.

    Args:
        app: the app's name.
        client: the op store.
        serving: gives the revision of the store that was seen, and pipeline to the
            generation that is served here.
        code: pipeline to the digest of the code of its ops with state.
    """

    def __init__(
        self,
        app: str,
        client: BaseOpStoreClient,
        serving: Callable[[], tuple[int, Mapping[str, int]]],
        code: Mapping[str, str],
    ) -> None:
        self.kind = "process"
        self._app = app
        self._client = client
        self._serving = serving
        self._code = code
        self._start_anew()

    def _start_anew(self) -> None:
        # a forked process is another one, and the lock may be held in the first
        self._lock = threading.Lock()
        self._id, self._pid = secrets.token_hex(16), os.getpid()
        self._reported_at: float | None = None
        self._reported: tuple[int, Mapping[str, int]] = (-1, {})

    def report(self) -> None:
        """
        Report the sets that this process serves, unless the last report is still valid.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        if self._pid != os.getpid():
            self._start_anew()
        revision, serving = self._serving()
        with self._lock:
            is_late = self._reported_at is None or time.monotonic() >= self._reported_at + EVERY
            if not is_late and (revision, serving) == self._reported:
                return
            self._client.report(self._record(revision, serving), seconds=_BELIEVED)
            self._reported_at, self._reported = time.monotonic(), (revision, serving)

    def withdraw(self) -> None:
        """
        Report that this process ends, if it has reported.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        if self._pid == os.getpid() and self._reported_at is not None:
            self._client.report(self._record(*self._reported), seconds=0.0)
            self._reported_at = None

    def processes(self) -> Sequence[ServingReport]:
        """
        Return the processes of the app that have reported lately.
        """
        return self._client.processes(self._app)

    def _record(self, revision: int, serving: Mapping[str, int]) -> ServingReport:
        return ServingReport(
            id=self._id,
            app=self._app,
            host=socket.gethostname(),
            pid=self._pid,
            kind=self.kind,
            revision=max(revision, 0),
            serving=serving,
            code=self._code,
        )
