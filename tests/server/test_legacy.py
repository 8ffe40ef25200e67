"""
The routes of 2019-2020: their bodies stay as they always were.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from chariots_core.server import PipelinesServer
from chariots_core.versioning import Version
from tests.apps import make_server, track
from tests.support import wait_until


def test_main_answers_in_the_old_form(http: FlaskClient) -> None:
    """
    A run in the request gives output, versions, no job id and the status done, in this order.
    """
    response = http.post("/pipelines/is_odd/main", json={"pipeline_input": 4, "use_worker": None})

    body = json.loads(response.data)
    assert 200 == response.status_code
    assert ["pipeline_output", "versions", "job_id", "job_status"] == list(body)
    assert (True, None, "done") == (body["pipeline_output"], body["job_id"], body["job_status"])
    assert ["addone", "isodd"] == list(body["versions"])
    assert all(text == str(Version.parse(text)) for text in body["versions"].values())


def test_main_by_worker_answers_queued(queue: FlaskClient) -> None:
    """
    A run on a worker gives no output, no versions, a job id and the status queued.
    """
    response = queue.post("/pipelines/is_odd/main", json={"pipeline_input": 4, "use_worker": True})

    body = json.loads(response.data)
    assert 200 == response.status_code
    assert ["pipeline_output", "versions", "job_id", "job_status"] == list(body)
    assert (None, {}, "queued") == (body["pipeline_output"], body["versions"], body["job_status"])
    fetched = queue.post("/jobs/fetch/", json={"job_id": body["job_id"]})
    assert body == fetched.json


@pytest.mark.parametrize("data", [b"", b"{}"])
def test_main_without_body_has_no_input(http: FlaskClient, data: bytes) -> None:
    """
    No body at all is no input, for a pipeline that takes none.
    """
    response = http.post("/pipelines/constant/main", data=data, content_type="application/json")

    assert (200, 42) == (response.status_code, json.loads(response.data)["pipeline_output"])


def test_fetch_tells_a_result(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    A job that a worker has done has the body of a run in the request, with its id.
    """
    job_id = queue.post(
        "/pipelines/is_odd/main", json={"pipeline_input": 4, "use_worker": True}
    ).get_json()["job_id"]
    pool = queueing.chariots.pool
    assert pool is not None

    def fetched() -> dict[str, object]:
        return dict(queue.post("/jobs/fetch/", json={"job_id": job_id}).get_json())

    with pool.spawn_worker(start_method="fork"):
        wait_until(lambda: fetched()["job_status"] == "done", message=lambda: str(fetched()))

    body = fetched()
    in_request = queue.post("/pipelines/is_odd/main", json={"pipeline_input": 4}).get_json()
    assert {**in_request, "job_id": job_id} == body


def test_load_versions_save_and_health(http: FlaskClient) -> None:
    """
    The smaller routes answer with the bodies of old.
    """
    assert {} == http.post("/pipelines/is_odd/load").get_json()
    assert {} == http.post("/pipelines/is_odd/save").get_json()
    assert ["addone", "isodd"] == list(http.post("/pipelines/is_odd/versions").get_json())
    assert {"is_loaded": True} == http.get("/pipelines/is_odd/health_check").get_json()
    assert http.get("/health_check").get_json()["is_odd"] is True
    assert "is_odd" in http.get("/available_pipelines").get_json()


def versions_text(server: PipelinesServer, name: str) -> bytes:
    """
    The versions of a pipeline, node by node in its order, as they stand in a body.
    """
    pairs = (f'"{node}":"{text}"' for node, text in server.chariots.versions(name).items())
    return b"{%b}" % ",".join(pairs).encode()


def body_of(response: TestResponse) -> bytes:
    """
    The bytes of a JSON answer, whose length is announced.
    """
    assert "application/json" == response.headers["Content-Type"]
    assert str(len(response.data)) == response.headers["Content-Length"]
    return bytes(response.data)


def test_bytes_of_a_run_in_the_request(server: PipelinesServer, http: FlaskClient) -> None:
    """
    The body of a run is compact, has its members in the order of the contract, and ends
    without a new line.
    """
    response = http.post("/pipelines/is_odd/main", json={"pipeline_input": 4, "use_worker": None})

    assert (
        b'{"pipeline_output":true,"versions":%b,"job_id":null,"job_status":"done"}'
        % versions_text(server, "is_odd")
    ) == body_of(response)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b'{ "b": 1, "a": [ 1.50, null, true ] }', b'{"b":1,"a":[1.5,null,true]}'),
        ('"d\\u00fcnn ☃ <a/>"'.encode(), '"dünn ☃ <a/>"'.encode()),
        (b'"\\u0000\\"\\\\"', b'"\\u0000\\"\\\\"'),
        (b"1e2", b"100.0"),
        (b"1208925819614629174706176", b"1208925819614629174706176"),
    ],
)
def test_bytes_of_an_output(
    server: PipelinesServer, http: FlaskClient, given: bytes, expected: bytes
) -> None:
    """
    An output keeps the order of its members, is UTF-8 without escapes where none is needed,
    and has its numbers in their shortest form.
    """
    data = b'{"pipeline_input": %b}' % given
    response = http.post("/pipelines/echo/main", data=data, content_type="application/json")

    assert (
        b'{"pipeline_output":%b,"versions":%b,"job_id":null,"job_status":"done"}'
        % (expected, versions_text(server, "echo"))
    ) == body_of(response)


def test_bytes_of_a_job(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    A job that is queued has one body, whether it was just made or is asked for; one that is
    done has the body of a run, with its id.
    """
    made = queue.post("/pipelines/is_odd/main", json={"pipeline_input": 4, "use_worker": True})
    job_id = json.loads(made.data)["job_id"]

    def fetched() -> bytes:
        return body_of(queue.post("/jobs/fetch/", json={"job_id": job_id}))

    queued = b'{"pipeline_output":null,"versions":{},"job_id":"%b","job_status":"queued"}'
    assert queued % job_id.encode() == body_of(made) == fetched()
    pool = queueing.chariots.pool
    assert pool is not None
    with pool.spawn_worker(start_method="fork"):
        wait_until(lambda: b'"done"' in fetched(), message=lambda: str(fetched()))
    assert (
        b'{"pipeline_output":true,"versions":%b,"job_id":"%b","job_status":"done"}'
        % (versions_text(queueing, "is_odd"), job_id.encode())
    ) == fetched()


def test_bytes_of_a_failed_job(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    A job that has failed has no output, no versions, and its status.
    """
    made = queue.post("/pipelines/is_odd/main", json={"pipeline_input": "x", "use_worker": True})
    job_id = json.loads(made.data)["job_id"]

    def fetched() -> bytes:
        return body_of(queue.post("/jobs/fetch/", json={"job_id": job_id}))

    pool = queueing.chariots.pool
    assert pool is not None
    with pool.spawn_worker(start_method="fork"):
        wait_until(lambda: b'"failed"' in fetched(), message=lambda: str(fetched()))
    failed = b'{"pipeline_output":null,"versions":{},"job_id":"%b","job_status":"failed"}'
    assert failed % job_id.encode() == fetched()


def test_bytes_of_the_smaller_routes(server: PipelinesServer, http: FlaskClient) -> None:
    """
    Load and save answer an empty object, versions and health an object, the list of names
    a list: compact, in the order of the pipelines, without a new line.
    """
    names = list(server.chariots.pipelines)
    quoted = [f'"{name}"' for name in names]
    loaded = [f'"{name}":true' for name in names]

    assert b"{}" == body_of(http.post("/pipelines/is_odd/load"))
    assert b"{}" == body_of(http.post("/pipelines/is_odd/save"))
    versions = body_of(http.post("/pipelines/is_odd/versions"))
    assert versions_text(server, "is_odd") == versions
    assert b'{"is_loaded":true}' == body_of(http.get("/pipelines/is_odd/health_check"))
    assert f"[{','.join(quoted)}]".encode() == body_of(http.get("/available_pipelines"))
    assert f"{{{','.join(loaded)}}}".encode() == body_of(http.get("/health_check"))


def test_bytes_of_a_pipeline_that_cannot_run(
    server: PipelinesServer, http: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A pipeline that is not loaded says so with 419, in the form of one that is.
    """
    monkeypatch.setattr(server.chariots, "is_loaded", lambda _: False)
    response = http.get("/pipelines/is_odd/health_check")

    assert 419 == response.status_code
    assert b'{"is_loaded":false}' == body_of(response)


def test_a_version_mismatch_is_419(server: PipelinesServer, http: FlaskClient) -> None:
    """
    Where versions were never validated together, load answers 419 with a text.
    """
    _make_unloadable(server, http)

    response = http.post("/pipelines/chain/load")

    assert (419, "text/plain") == (response.status_code, response.mimetype)
    assert "not validated" in response.text


def _make_unloadable(server: PipelinesServer, http: FlaskClient) -> None:
    http.post("/pipelines/train_first/main", json={"pipeline_input": 2.0})
    http.post("/pipelines/train_first/save")


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> PipelinesServer:
    """
    The usual server, with a chain of two models of which one can be trained alone.
    """
    from chariots_core.pipelines import Node, Pipeline
    from chariots_core.testing import TestOpStoreClient
    from tests.apps import IN, OUT, Learn, Model, pipelines

    class Second(Model):
        """
        Another model.
        """

    chain = Pipeline([Node(Model(), [IN], "first"), Node(Second(), ["first"], OUT)], "chain")
    train_first = Pipeline([Node(Learn(), [IN], OUT)], "train_first")
    server = PipelinesServer(
        [*pipelines(), chain, train_first], TestOpStoreClient(tmp_path), import_name="tests_app"
    )
    server.testing = True
    return track(server)


@pytest.mark.parametrize(
    ("method", "path", "successor"),
    [
        ("POST", "/pipelines/is_odd/main", "/api/v1/pipelines/is_odd/runs"),
        ("POST", "/pipelines/is_odd/load", "/api/v1/pipelines/is_odd/load"),
        ("POST", "/pipelines/is_odd/save", "/api/v1/pipelines/is_odd/save"),
        ("POST", "/pipelines/is_odd/versions", "/api/v1/pipelines/is_odd"),
        ("GET", "/pipelines/is_odd/health_check", "/api/v1/pipelines/is_odd"),
        ("GET", "/health_check", "/api/v1/pipelines"),
        ("GET", "/available_pipelines", "/api/v1/pipelines"),
    ],
)
def test_every_old_route_names_its_successor(
    http: FlaskClient, method: str, path: str, successor: str
) -> None:
    """
    An answer of an old route says since when it is superseded, and by what.
    """
    body = {"pipeline_input": 4} if path.endswith("/main") else None
    response = http.open(path, method=method, json=body)

    assert 200 == response.status_code
    assert response.headers["Deprecation"].startswith("@")
    assert f'<{successor}>; rel="successor-version"' == response.headers["Link"]


def test_old_routes_can_be_switched_off(tmp_path: Path) -> None:
    """
    Without the old routes their addresses are unknown, and the new ones work.
    """
    http = make_server(tmp_path, legacy_routes=False).test_client()

    assert 404 == http.post("/pipelines/is_odd/main", json={"pipeline_input": 4}).status_code
    assert 404 == http.get("/health_check").status_code
    assert 200 == http.post("/api/v1/pipelines/is_odd/runs", json={"input": 4}).status_code
