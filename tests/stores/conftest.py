"""
Databases for the tests of stores.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests import support
from tests.conftest import missing_service


@pytest.fixture(scope="module")
def postgres_database() -> Iterator[str]:
    """
    The address of a PostgreSQL database that the tests of a module share.
    """
    server = support.postgres_url()
    if server is None:
        missing_service("PostgreSQL")
        return
    name = f"chariots_test_{uuid.uuid4().hex}"
    admin = server.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def postgres_tables(postgres_database: str) -> Iterator[str]:
    """
    The same address; every table is gone when the test ends.
    """
    yield postgres_database
    address = postgres_database.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
