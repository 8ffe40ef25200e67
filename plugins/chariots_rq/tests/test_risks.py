"""
A Redis that may lose jobs, and who tells of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from chariots_core.server import PipelinesServer
from chariots_core.testing import TestOpStoreClient
from tests.conftest import missing_service
from tests.redis_servers import RedisProcess, redis_program
from tests.support import wait_until

HERE = Path(__file__).parent


@pytest.fixture(name="forgetful")
def _forgetful(tmp_path: Path) -> Iterator[RedisProcess]:
    """
    A server that writes nothing down and drops what it has no room for.
    """
    if redis_program() is None:
        missing_service("a redis-server")
    server = RedisProcess(tmp_path, ("--appendonly", "no", "--maxmemory-policy", "allkeys-lru"))
    server.start()
    yield server
    server.kill()


def _server(redis: RedisProcess, folder: Path) -> PipelinesServer:
    server = PipelinesServer(
        [],
        op_store_client=TestOpStoreClient(folder / "ops"),
        import_name=f"risks-{uuid.uuid4().hex[:8]}",
        worker_pool={"backend": "rq", "url": redis.url},
    )
    server.testing = True
    return server


def test_readiness_tells_of_risks(forgetful: RedisProcess, tmp_path: Path) -> None:
    """
    Readiness does not fail for settings that may lose jobs, and names them.
    """
    server = _server(forgetful, tmp_path)
    with server.test_client() as client:
        answer = client.get("/readyz?verbose=1")
        with forgetful.client() as redis:
            redis.config_set("appendonly", "yes")
            redis.config_set("maxmemory-policy", "noeviction")
        mended = client.get("/readyz?verbose=1")
    server.close()

    assert (200, 200) == (answer.status_code, mended.status_code)
    first, second = answer.get_json()["risks"]
    assert ("'appendonly yes'" in first, "'maxmemory-policy noeviction'" in second) == (True, True)
    assert [] == mended.get_json()["risks"]


def test_worker_warns_as_it_starts(forgetful: RedisProcess, tmp_path: Path) -> None:
    """
    A worker tells of the same as it starts, each once.
    """
    log = tmp_path / "log"
    environment = {
        **os.environ,
        "SERVED_NAME": f"risks-{uuid.uuid4().hex[:8]}",
        "SERVED_OPS": str(tmp_path / "ops"),
        "SERVED_REDIS": forgetful.url,
        "PYTHONPATH": str(HERE),
    }
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "chariots_core.cli", "worker", "served:app"],
            env=environment,
            cwd=tmp_path,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: "noeviction" in log.read_text(), 20.0, log.read_text)
    finally:
        worker.terminate()
        worker.wait(20.0)

    assert 1 == log.read_text().count("appendonly yes")
    assert 1 == log.read_text().count("noeviction")
