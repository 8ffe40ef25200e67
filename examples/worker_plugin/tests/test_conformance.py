"""
The backend ``huey`` shows what every backend must show.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest

from chariots_core.testing.conformance import WorkerPoolConformance


@attrs.frozen
class QueueFile:
    """
    What a test may do to the queue behind everybody's back.
    """

    path: str

    def flush(self) -> None:
        """
        Empty it.
        """
        with sqlite3.connect(self.path) as connection:
            connection.execute("DELETE FROM task")
        connection.close()


class TestHuey(WorkerPoolConformance):
    """
    Queues and jobs in two SQLite files.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
        """
        The backend, on files that only these tests know, with little patience.
        """
        folder = tmp_path_factory.mktemp("huey")
        return {
            "backend": "huey",
            "path": f"{folder}/queue.db",
            "job_store": f"sqlite:///{folder}/jobs.db",
            "resend_after": 2,
        }

    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls, settings: Mapping[str, Any]) -> QueueFile:
        """
        The file with the queues: nobody can stop a file, but anybody can empty it.
        """
        return QueueFile(settings["path"])

    @pytest.fixture(scope="class")
    @classmethod
    def inject(cls) -> Callable[[Any, bytes], None]:
        """
        Puts bytes where Huey puts its messages.
        """

        def push(deployment: Any, message: bytes) -> None:
            deployment.pool.queue(deployment.config.name, "default").enqueue(message)

        return push
