"""
Characters that databases are fond of refusing, from HTTP to a worker and back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chariots_core.server import PipelinesServer
from chariots_core.workers.runner import JobRunner
from tests.apps import make_server

RUNS = "/api/v1/pipelines/echo/runs"


@pytest.fixture(name="server", params=["sqlite", "postgresql"])
def _server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PipelinesServer]:
    """
    A server whose jobs are in one database or the other.
    """
    url = f"sqlite:///{tmp_path}/jobs.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_tables")
    server = make_server(tmp_path, worker_pool={"backend": "local", "url": url})
    server.testing = True
    yield server
    server.close()


@pytest.mark.parametrize("query", ["pipeline=%00", "backend=a%00b", "pipeline=%ED%A0%80"])
def test_lists_of_what_cannot_be(server: PipelinesServer, query: str) -> None:
    """
    (60) A filter that no job can match gives an empty page.
    """
    http = server.test_client()
    http.post(RUNS, json={"input": 1, "use_worker": True})

    answer = http.get(f"/api/v1/jobs?{query}")

    assert 200 == answer.status_code
    assert {"items": [], "next_cursor": None} == answer.get_json()


@pytest.mark.parametrize(
    "value", ["a\x00b", {"\x00": ["\x00"]}, "\x01\x7f\u2028\ufeff", "😀"], ids=ascii
)
def test_any_text_is_an_input(server: PipelinesServer, value: Any) -> None:
    """
    (14) A job's input and result may hold every character that JSON has.
    """
    http = server.test_client()
    job_id = http.post(RUNS, json={"input": value, "use_worker": True}).get_json()["job"]["id"]
    with JobRunner(server.chariots, worker_id="w") as runner:
        runner.run(job_id)

    assert value == http.get(f"/api/v1/jobs/{job_id}").get_json()["output"]


@pytest.mark.parametrize("escape", [b"\\ud800", b"\\udc00a"])
def test_a_lone_surrogate_is_no_text(server: PipelinesServer, escape: bytes) -> None:
    """
    An input that no encoding can carry is refused as what it is, and makes no job.
    """
    http = server.test_client()

    answer = http.post(
        RUNS, data=b'{"input":"%b","use_worker":true}' % escape, content_type="application/json"
    )

    assert 400 == answer.status_code
    assert answer.get_json()["type"].endswith("/malformed-json")
    assert [] == http.get("/api/v1/jobs").get_json()["items"]
