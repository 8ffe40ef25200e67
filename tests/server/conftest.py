"""
A server of small pipelines, with and without workers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from chariots_core.server import PipelinesServer
from tests.apps import close_all, make_server


@pytest.fixture(autouse=True)
def _no_open_stores() -> Iterator[None]:
    """
    What a test has made is closed at its end.
    """
    yield
    close_all()


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[PipelinesServer]:
    """
    Without workers.
    """
    server = make_server(tmp_path)
    server.testing = True
    yield server
    server.close()


@pytest.fixture(name="http")
def _http(server: PipelinesServer) -> FlaskClient:
    return server.test_client()


@pytest.fixture(name="queueing")
def _queueing(tmp_path: Path) -> Iterator[PipelinesServer]:
    """
    With a backend, and no worker that would take its jobs.
    """
    server = make_server(tmp_path, worker_pool="local")
    server.testing = True
    yield server
    server.close()


@pytest.fixture(name="queue")
def _queue(queueing: PipelinesServer) -> FlaskClient:
    return queueing.test_client()
