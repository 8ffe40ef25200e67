"""
What bad input gets: a problem that says what to do, and no change of anything.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from chariots_core.app import AppSettings
from chariots_core.errors import StoreUnavailable
from chariots_core.jobs import JobQuery
from chariots_core.server import PipelinesServer
from tests.apps import make_server

RUNS = "/api/v1/pipelines/is_odd/runs"
BAD_IDS = ["nope", "a" * 10_000, "a:b", "%2E%2E%2Fx", "d%C3%BCnn", "a%20b", "%00"]


def problem(response: Any) -> tuple[int, str]:
    """
    The status of a problem, and its name, once its form is checked.
    """
    body = response.get_json()
    assert "application/problem+json" == response.mimetype, response.text
    assert response.status_code == body["status"]
    assert response.headers["X-Request-ID"] == body["instance"]
    assert body["title"]
    assert body["detail"]
    slug = body["type"].removeprefix("https://chariots.readthedocs.io/problems/")
    return response.status_code, slug


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/pipelines/nope/runs"),
        ("POST", "/api/v1/pipelines/nope/load"),
        ("POST", "/api/v1/pipelines/nope/save"),
        ("GET", "/api/v1/pipelines/nope"),
        ("POST", "/pipelines/nope/main"),
        ("POST", "/pipelines/nope/load"),
        ("POST", "/pipelines/nope/save"),
        ("POST", "/pipelines/nope/versions"),
        ("GET", "/pipelines/nope/health_check"),
    ],
)
def test_an_unknown_pipeline_is_404(http: FlaskClient, method: str, path: str) -> None:
    """
    Every route about a pipeline says 404 for one that is not there, and names those that are.
    """
    response = http.open(path, method=method)

    assert (404, "pipeline-not-found") == problem(response)
    assert "is_odd" in response.get_json()["detail"]


@pytest.mark.parametrize("job_id", BAD_IDS)
def test_an_unknown_job_is_404(queue: FlaskClient, job_id: str) -> None:
    """
    Unknown, malformed, 10 kB and unicode ids are 404.
    """
    status, slug = problem(queue.get(f"/api/v1/jobs/{job_id}"))

    assert 404 == status
    assert slug in {"job-not-found", "not-found"}


@pytest.mark.parametrize("job_id", ["", "nope", "a" * 10_000, "../x", "dünn", "a\0b", "🦄"])
def test_an_unknown_job_of_the_old_route_is_404(queue: FlaskClient, job_id: str) -> None:
    """
    The old route takes ids in the body, and answers 404 for each that is none.
    """
    response = queue.post("/jobs/fetch/", json={"job_id": job_id})

    assert (404, "job-not-found") == problem(response)


@pytest.mark.parametrize("path", [RUNS, "/pipelines/is_odd/main", "/jobs/fetch/"])
@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"not json",
        b"\xff",
        b'{"job_id": NaN}',
        b'{"input": ' + b"[" * 100_000,
        b'{"job_id": 1} {}',
    ],
    ids=["cut", "words", "binary", "nan", "deep", "two"],
)
def test_no_json_is_400(queue: FlaskClient, path: str, data: bytes) -> None:
    """
    A body that is not JSON is 400, on the old routes and the new.
    """
    response = queue.post(path, data=data, content_type="application/json")

    assert (400, "malformed-json") == problem(response)


@pytest.mark.parametrize("value", [b'"\\ud800"', b'"\xff"', b"1e999", b"[" * 250 + b"]" * 250])
def test_an_input_that_is_no_value_is_400(http: FlaskClient, value: bytes) -> None:
    """
    An input that only looks like JSON is 400.
    """
    response = http.post(RUNS, data=b'{"input": %b}' % value, content_type="application/json")

    assert (400, "malformed-json") == problem(response)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"input": 1, "use_worker": "yes"}, "/use_worker"),
        ({"input": 1, "use_worker": 1}, "/use_worker"),
        ({"inputs": 1}, "/inputs"),
        ({"input": 1, "a/b": 1}, "/a~1b"),
        ({"timeout": 0}, "/timeout"),
        ({"timeout": "1"}, "/timeout"),
        ({"max_attempts": 0}, "/max_attempts"),
        ({"priority": 1.5}, "/priority"),
        ([1], ""),
    ],
)
def test_a_wrong_member_is_422_and_named(queue: FlaskClient, body: Any, pointer: str) -> None:
    """
    A member that is unknown or cannot be used is 422, with a pointer to it.
    """
    response = queue.post(RUNS, json=body)

    assert (422, "validation-error") == problem(response)
    assert [pointer] == [error["pointer"] for error in response.get_json()["errors"]]


def test_an_input_that_is_not_taken_is_422(http: FlaskClient) -> None:
    """
    A pipeline that reads no input refuses one, in the request and for a job.
    """
    response = http.post("/api/v1/pipelines/constant/runs", json={"input": 1})

    assert (422, "pipeline-error") == problem(response)


@pytest.mark.parametrize("switch", [True, None, False])
@pytest.mark.parametrize("key", ["", " ", "é b", "a b", "\x7f", "x" * 256])
def test_a_key_that_cannot_be_used_is_422(queue: FlaskClient, key: str, switch: object) -> None:
    """
    An idempotency key that is empty, long or of other characters is 422, wherever the call
    would run.
    """
    response = queue.post(
        RUNS, json={"input": 4, "use_worker": switch}, headers={"Idempotency-Key": key}
    )

    assert (422, "validation-error") == problem(response)
    assert "1 to 255 visible ASCII" in response.get_json()["detail"]


@pytest.mark.parametrize("path", [RUNS, "/pipelines/is_odd/main"])
def test_a_form_is_415(http: FlaskClient, path: str) -> None:
    """
    A body that says it is something else than JSON is 415.
    """
    response = http.post(path, data={"input": "1"})

    assert (415, "unsupported-media-type") == problem(response)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "application/vnd.mine+json", None]
)
def test_kinds_of_json_are_taken(http: FlaskClient, content_type: str | None) -> None:
    """
    A character set, a kind of JSON, or no type at all is no reason to refuse.
    """
    response = http.post(RUNS, data=b'{"input": 4}', content_type=content_type)

    assert 200 == response.status_code


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", [RUNS, "/pipelines/is_odd/main"])
def test_a_large_body_is_413(tmp_path: Path, path: str, *, chunked: bool) -> None:
    """
    A body over the configured size is 413, whether or not its length is announced.
    """
    http = make_server(tmp_path, settings=AppSettings(max_body_bytes=1000)).test_client()
    data = b'{"input": "%b"}' % (b"x" * 1000)
    options: dict[str, Any] = {"data": data}
    if chunked:
        options = {"input_stream": io.BytesIO(data), "headers": {"Transfer-Encoding": "chunked"}}
        options["environ_overrides"] = {"wsgi.input_terminated": True}

    response = http.post(path, content_type="application/json", **options)

    assert (413, "payload-too-large") == problem(response)
    assert "1000 bytes" in response.get_json()["detail"]


def test_a_body_just_under_the_limit_is_read(tmp_path: Path) -> None:
    """
    A body of exactly the configured size is carried out.
    """
    data = b'{"input": "%b"}' % (b"x" * 100)
    settings = AppSettings(max_body_bytes=len(data))
    http = make_server(tmp_path, settings=settings).test_client()

    response = http.post("/api/v1/pipelines/echo/runs", data=data, content_type="application/json")

    assert 200 == response.status_code


@pytest.mark.parametrize("path", [RUNS, "/pipelines/is_odd/main"])
def test_a_worker_without_a_backend_is_400(http: FlaskClient, path: str) -> None:
    """
    A request that asks for a worker of an app without a backend is 400, with the way out.
    """
    response = http.post(path, json={"use_worker": True})

    assert (400, "backend-not-configured") == problem(response)
    assert "worker_pool" in response.get_json()["detail"]


@pytest.mark.parametrize("path", [RUNS, "/pipelines/is_odd/main"])
def test_a_rejected_input_is_500_with_the_node(http: FlaskClient, path: str) -> None:
    """
    What an op rejects is 500 with type, message and node, and without a traceback.
    """
    response = http.post(path, json={"input" if path == RUNS else "pipeline_input": "four"})

    body = response.get_json()
    assert (500, "execution-failed") == problem(response)
    assert ("TypeError", "addone") == (body["exception_type"], body["node"])
    assert "concatenate" in body["detail"]
    assert "traceback" not in body


def test_a_failed_run_is_logged(http: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    """
    The server's log has the traceback of a failed run, under the request's id.
    """
    response = http.post(RUNS, json={"input": "four"})

    assert "in execute" in caplog.text
    assert response.get_json()["instance"] in caplog.text


def test_a_traceback_is_shown_where_asked_for(tmp_path: Path) -> None:
    """
    With debug on, the answer has the traceback.
    """
    http = make_server(tmp_path, settings=AppSettings(debug=True)).test_client()

    body = http.post(RUNS, json={"input": "four"}).get_json()

    assert "in execute" in body["traceback"]


@pytest.mark.parametrize(
    ("word", "kind", "detail"),
    [
        ("nan", "NotJSONError", "$"),
        ("exit", "SystemExit", "3"),
        ("interrupt", "KeyboardInterrupt", "without a message"),
        ("secret", "ValueError", "rejected"),
    ],
)
def test_whatever_an_op_does_is_a_problem(
    http: FlaskClient, word: str, kind: str, detail: str
) -> None:
    """
    No op brings the process down: its exit, and a result that is not JSON, are a 500.
    """
    response = http.post("/api/v1/pipelines/give/runs", json={"input": word})

    assert (500, "execution-failed") == problem(response)
    assert response.get_json()["exception_type"].endswith(kind)
    assert detail in response.get_json()["detail"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_wrong_method_is_405(http: FlaskClient, method: str) -> None:
    """
    A method that a route does not know is 405, with those that it does.
    """
    response = http.open(RUNS, method=method)

    assert (405, "method-not-allowed") == problem(response)
    assert "POST" in response.headers["Allow"]


def test_a_fault_of_the_server_shows_nothing(
    server: PipelinesServer,
    http: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    An error that nobody foresaw is 500 with the request's id, and none of its words.
    """

    def fault(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(server.chariots.loaded, "open", fault)

    response = http.get("/api/v1/pipelines/is_odd")

    assert (500, "internal-error") == problem(response)
    assert "hunter2" not in response.text
    assert response.get_json()["instance"] in caplog.text


@pytest.mark.parametrize(
    "call", [(RUNS, "revision"), (RUNS, "newest"), ("/pipelines/is_odd/main", "revision")]
)
def test_a_fault_of_a_store_in_a_run_shows_nothing(
    server: PipelinesServer,
    http: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    call: tuple[str, str],
) -> None:
    """
    What the framework meets around a run is no error of the run: it is 500 with the
    request's id, and its words are in the log alone.
    """

    def fault(*_: object, **__: object) -> None:
        raise RuntimeError("password=hunter2")

    path, method = call
    monkeypatch.setattr(server.chariots.op_store, method, fault)

    response = http.post(path, json={"input" if path == RUNS else "pipeline_input": 4})

    assert (500, "internal-error") == problem(response)
    assert "hunter2" not in response.text
    assert "exception_type" not in response.get_json()
    assert "hunter2" in caplog.text
    assert response.get_json()["instance"] in caplog.text


def test_a_fault_after_a_training_shows_nothing(
    server: PipelinesServer, http: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    That what a run trained cannot be kept is a fault of the server, and none of the run.
    """

    def fault(*_: object, **__: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(server.chariots.op_store, "publish", fault)

    response = http.post("/api/v1/pipelines/train/runs", json={"input": 4})

    assert (500, "internal-error") == problem(response)
    assert "hunter2" not in response.text


def test_a_store_that_is_away_is_503(tmp_path: Path) -> None:
    """
    42: a job store that cannot be opened is 503 with Retry-After, names the store, and
    once it is there again jobs are taken.
    """
    folder = tmp_path / "no" / "such"
    url = f"sqlite:///{tmp_path}/file/jobs.db"
    (tmp_path / "file").write_text("in the way of a folder")
    server = make_server(folder, worker_pool={"backend": "local", "url": url})
    server.testing = True
    http = server.test_client()

    response = http.post(RUNS, json={"input": 4, "use_worker": True})

    assert (503, "backend-unavailable") == problem(response)
    assert "store-unavailable" == response.get_json()["code"]
    assert int(response.headers["Retry-After"]) >= 1
    assert "jobs.db" in response.get_json()["detail"]

    (tmp_path / "file").unlink()
    again = http.post(RUNS, json={"input": 4, "use_worker": True})
    assert 202 == again.status_code


def test_an_op_store_that_is_away_is_an_error_at_the_start(tmp_path: Path) -> None:
    """
    An app whose op store cannot be opened says so, and which.
    """
    (tmp_path / "file").write_text("in the way of a folder")
    server = make_server(tmp_path / "file")

    with pytest.raises(StoreUnavailable, match=r"op_store\.db"):
        server.chariots.open()


def test_nothing_of_it_changes_anything(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    After a row of bad requests there is no job, and the pipelines are as they were.
    """
    before = queue.get("/api/v1/pipelines/is_odd").get_json()
    for body in ({"use_worker": "yes"}, {"nope": 1}, {"timeout": -1, "use_worker": True}, [1]):
        assert 422 == queue.post(RUNS, json=body).status_code
    queue.post(RUNS, data=b"{", content_type="application/json")
    queue.post("/api/v1/pipelines/nope/runs", json={"use_worker": True})
    queue.post("/api/v1/pipelines/is_odd/load", json={"policy": "newest"})

    assert [] == list(queueing.chariots.list_jobs(JobQuery()))
    assert before == queue.get("/api/v1/pipelines/is_odd").get_json()


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_out_of_range_is_422(queue: FlaskClient, since: str) -> None:
    """
    A time that no clock of ours can show is wrong input.
    """
    answer = queue.get("/api/v1/jobs", query_string={"since": since})

    assert 422 == answer.status_code
