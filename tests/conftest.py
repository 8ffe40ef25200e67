"""
Fixtures of all tiers: a clean environment, services or a skip with a name.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest
import sqlalchemy

from tests import support
from tests.redis_servers import RedisProcess, redis_program


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    No setting of the developer's own shell reaches a test.
    """
    for name in list(os.environ):
        if name.startswith("CHARIOTS_") and not name.startswith("CHARIOTS_TEST_"):
            monkeypatch.delenv(name)


def missing_service(name: str) -> None:
    """
    Ends a test that misses its service: a skip, or a failure where CI promises it.
    """
    text = f"needs {name}"
    if support.skip_is_failure():
        pytest.fail(f"{text}, and CI has to offer it", pytrace=False)
    pytest.skip(text)


@pytest.fixture(name="postgres_url")
def _postgres_url() -> Iterator[str]:
    """
    The address of a fresh, empty PostgreSQL database of the test's own.
    """
    server = support.postgres_url()
    if server is None:
        missing_service("PostgreSQL")
        return
    name = f"chariots_test_{uuid.uuid4().hex}"
    engine = sqlalchemy.create_engine(
        server, isolation_level="AUTOCOMMIT", poolclass=sqlalchemy.pool.NullPool
    )
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f'CREATE DATABASE "{name}"'))
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        engine.dispose()


@pytest.fixture(scope="session", name="redis_server")
def _redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """
    A redis-server that the tests of a process share; each leaves its database empty.
    """
    if redis_program() is None:
        missing_service("a redis-server")
    server = RedisProcess(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()
