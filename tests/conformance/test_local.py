"""
The backend `local` shows what every backend must show, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from chariots_core.testing.conformance import WorkerPoolConformance
from tests import support
from tests.conformance.postgres import PrivatePostgres, find_programs
from tests.conftest import missing_service

pytestmark = pytest.mark.crash

#: What another store could break: the rest of the kit says nothing of it.
ON_POSTGRES = (
    "test_03_",
    "test_06_",
    "test_07_",
    "test_51_a_cancelled",
    "test_21_",
    "test_12_",
    "test_14_",
    "test_16_",
    "test_19_",
    "test_20_",
    "test_29_every",
    "test_32_",
    "test_33_a_container",
    "test_36_a_worker_that",
    "test_42_",
    "test_43_",
    "test_44_",
    "test_55_",
    "test_56_",
    "test_57_",
    "test_64_",
    "test_68_a_kill",
    "test_69_a_worker",
    "test_70_",
)


class TestLocalOnSQLite(WorkerPoolConformance):
    """
    Everything, on a file.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
        """
        The backend, on a file of its own.
        """
        store = tmp_path_factory.mktemp("store") / "jobs.db"
        return {"backend": "local", "url": f"sqlite:///{store}"}


class TestLocalOnPostgreSQL(WorkerPoolConformance):
    """
    What a server in place of a file could break, and the restart of that server.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def store_server(cls) -> Iterator[PrivatePostgres]:
        """
        A server that only these tests know.
        """
        programs = None if support.services_hidden() else find_programs()
        if programs is None:
            missing_service("PostgreSQL's initdb and pg_ctl")
            return
        server = PrivatePostgres(programs)
        try:
            yield server
        finally:
            server.close()

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls, store_server: PrivatePostgres) -> Mapping[str, Any]:
        """
        The backend, on that server, with a password, which it does not ask for: none may be seen.
        """
        url = store_server.url.replace("chariots@", "chariots:hunter2-of-postgres@")
        return {"backend": "local", "url": url}


support.trim_kit(TestLocalOnPostgreSQL, *ON_POSTGRES)
