"""
Pools and an app for tests that need no worker process.
"""

from __future__ import annotations

from pathlib import Path

from chariots_core.workers import CORE_CAPABILITIES, BaseWorkerPool, Capabilities, SubmitRequest


class Ready(BaseWorkerPool):
    """
    Takes every job and remembers the requests.
    """

    capabilities = CORE_CAPABILITIES | Capabilities(priorities=True, queues=True)

    def __init__(self, folder: Path) -> None:
        self.store_url = f"sqlite:///{folder}/jobs.db"
        self.requests: list[SubmitRequest] = []

    def submit(self, request: SubmitRequest) -> None:
        self.requests.append(request)


class Modest(Ready):
    """
    Declares nothing at all.
    """

    name = "modest"
    capabilities = Capabilities()


class Failing(Ready):
    """
    Raises what it is told to.
    """

    name = "failing"

    def __init__(self, folder: Path, error: Exception) -> None:
        super().__init__(folder)
        self.error = error

    def submit(self, request: SubmitRequest) -> None:
        super().submit(request)
        raise self.error
