"""
`SqlJobStore` keeps the contract of job stores, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chariots_core.testing.job_store_contract import JobStoreContract, QueueJobStoreContract
from chariots_core.testing.stepped_store import SteppedDatabase


class TestSqliteJobStore(JobStoreContract, QueueJobStoreContract):
    """
    A file.
    """

    @pytest.fixture
    def harness(self, tmp_path: Path) -> Iterator[SteppedDatabase]:
        """
        A new file.
        """
        harness = SteppedDatabase(f"sqlite:///{tmp_path}/jobs.db")
        yield harness
        harness.close()


class TestPostgresqlJobStore(JobStoreContract, QueueJobStoreContract):
    """
    A server.
    """

    @pytest.fixture
    def harness(self, postgres_tables: str) -> Iterator[SteppedDatabase]:
        """
        Tables that nobody has written to.
        """
        harness = SteppedDatabase(postgres_tables)
        yield harness
        harness.close()
