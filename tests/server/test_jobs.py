"""
``/api/v1/jobs``: what became of what was submitted.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from chariots_core.server import PipelinesServer
from tests.support import wait_until

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")


def submit(http: FlaskClient, pipeline: str = "echo", value: Any = 1, **options: Any) -> str:
    """
    The id of a new job.
    """
    response = http.post(
        f"/api/v1/pipelines/{pipeline}/runs", json={"input": value, "use_worker": True, **options}
    )
    assert 202 == response.status_code, response.text
    return str(response.get_json()["job"]["id"])


def finished(http: FlaskClient, job_id: str) -> dict[str, Any]:
    """
    A job, once it is final.
    """

    def look() -> dict[str, Any] | None:
        body: dict[str, Any] = http.get(f"/api/v1/jobs/{job_id}").get_json()
        return body if body["status"] in {"done", "failed"} else None

    return wait_until(look, message=f"the end of job {job_id}") or {}


def test_a_queued_job(queue: FlaskClient) -> None:
    """
    A job that no worker has taken says so, when to ask again, and has no result.
    """
    job_id = submit(queue)

    response = queue.get(f"/api/v1/jobs/{job_id}")

    body = response.get_json()
    assert (200, "1") == (response.status_code, response.headers["Retry-After"])
    assert ("queued", 0, "local", "echo") == (
        body["status"],
        body["attempt"],
        body["backend"],
        body["pipeline"],
    )
    assert TIME.fullmatch(body["created_at"])
    assert f"/api/v1/jobs/{job_id}" == body["links"]["self"]
    assert "output" not in body


def test_a_done_job_has_its_result(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    A done job has output, versions and times, and the same again at the next look.
    """
    pool = queueing.chariots.pool
    assert pool is not None
    jobs = {value: submit(queue, value=value) for value in (4, None)}
    with pool.spawn_worker(start_method="fork"):
        bodies = {value: finished(queue, job_id) for value, job_id in jobs.items()}

    for value, body in bodies.items():
        assert ("done", value, 1) == (body["status"], body["output"], body["attempt"])
        assert ["echo"] == list(body["versions"])
        assert body["created_at"] <= body["started_at"] <= body["finished_at"]
        again = queue.get(f"/api/v1/jobs/{body['id']}")
        assert body == again.get_json()
        assert "Retry-After" not in again.headers


def test_a_failed_job_has_the_body_of_a_failed_run(
    queueing: PipelinesServer, queue: FlaskClient
) -> None:
    """
    What an op rejects is told with the same type, message and node by a worker as in the request.
    """
    pool = queueing.chariots.pool
    assert pool is not None
    job_id = submit(queue, "is_odd", "four")
    with pool.spawn_worker(start_method="fork"):
        body = finished(queue, job_id)

    in_request = queue.post("/api/v1/pipelines/is_odd/runs", json={"input": "four"}).get_json()
    told = ("type", "detail", "exception_type", "node")
    assert ("failed", "user_error") == (body["status"], body["reason"])
    assert {name: in_request[name] for name in told} == body["error"]


def test_the_list_has_the_newest_first_in_pages(queue: FlaskClient) -> None:
    """
    A page has as many jobs as asked for, and leads to the next until there is none.
    """
    jobs = [submit(queue, value=number) for number in range(5)]

    path: str | None = "/api/v1/jobs?limit=2"
    pages = []
    while path is not None:
        response = queue.get(path)
        body = response.get_json()
        pages.append([item["id"] for item in body["items"]])
        link = response.headers.get("Link")
        assert (link is None) == (body["next_cursor"] is None)
        path = None if link is None else link.partition("<")[2].partition(">")[0]

    newest_first = jobs[::-1]
    assert [newest_first[:2], newest_first[2:4], newest_first[4:]] == pages


def test_a_page_is_stable_while_jobs_come(queue: FlaskClient) -> None:
    """
    A job that comes between two pages moves nothing from one to the other.
    """
    jobs = [submit(queue) for _ in range(4)]
    first = queue.get("/api/v1/jobs?limit=2").get_json()

    submit(queue)
    second = queue.get(f"/api/v1/jobs?limit=2&cursor={first['next_cursor']}").get_json()

    assert jobs[1::-1] == [item["id"] for item in second["items"]]


def test_the_list_can_be_narrowed(queue: FlaskClient) -> None:
    """
    Status, pipeline, backend and time narrow the list.
    """
    odd, echo = submit(queue, "is_odd"), submit(queue, "echo")

    def listed(query: str) -> list[str]:
        return [item["id"] for item in queue.get(f"/api/v1/jobs?{query}").get_json()["items"]]

    assert [echo] == listed("pipeline=echo")
    assert [echo, odd] == listed("status=queued")
    assert [] == listed("status=done")
    assert [echo, odd] == listed("backend=local")
    assert [] == listed("backend=other")
    assert [echo, odd] == listed("since=2020-01-01T00:00:00Z")
    assert [] == listed("since=2999-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=201", "/limit"),
        ("limit=x", "/limit"),
        ("limit=²", "/limit"),
        ("cursor=x", "/cursor"),
        ("cursor=ü", "/cursor"),
        ("cursor=c2VxOi0x", "/cursor"),
        ("status=finished", "/status"),
        ("since=yesterday", "/since"),
    ],
)
def test_a_wrong_query_is_422(queue: FlaskClient, query: str, pointer: str) -> None:
    """
    A part of the query that cannot be used is named.
    """
    response = queue.get(f"/api/v1/jobs?{query}")

    assert 422 == response.status_code
    assert pointer == response.get_json()["errors"][0]["pointer"]


def test_without_a_backend_there_are_no_jobs(http: FlaskClient) -> None:
    """
    An app without a backend has an empty list, and knows no job.
    """
    assert [] == http.get("/api/v1/jobs").get_json()["items"]
    assert 404 == http.get("/api/v1/jobs/abc").status_code
