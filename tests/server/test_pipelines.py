"""
``/api/v1/pipelines``: what is served.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from chariots_core.errors import BackendNotConfigured, ConfigurationError, DuplicatePipelineError
from chariots_core.pipelines import Node, Pipeline, PipelineCallback
from chariots_core.server import PipelinesServer
from chariots_core.testing import TestOpStoreClient
from tests.apps import IN, OUT, Echo, make_server, pipelines, track


def test_the_list_names_all_pipelines(http: FlaskClient) -> None:
    """
    The list has each pipeline, whether it can run, and where to read more.
    """
    body = http.get("/api/v1/pipelines").get_json()

    assert sorted(pipeline.name for pipeline in pipelines()) == [
        item["name"] for item in body["items"]
    ]
    assert body["next_cursor"] is None
    for item in body["items"]:
        assert item["loaded"] is True
        assert item["name"] == http.get(item["links"]["self"]).get_json()["name"]


def test_a_pipeline_tells_what_it_is_made_of(http: FlaskClient) -> None:
    """
    One pipeline has its nodes in order, its edges, its versions, and what it trains.
    """
    body = http.get("/api/v1/pipelines/is_odd").get_json()

    assert [("addone", ["__pipeline_input__"], ["added_number"])] == [
        (node["name"], node["inputs"], node["outputs"]) for node in body["nodes"][:1]
    ]
    assert [{"from": "addone", "to": "isodd"}] == body["edges"]
    assert ["addone", "isodd"] == list(body["versions"])
    assert [] == body["trains"] == body["blockers"]
    assert ["model"] == http.get("/api/v1/pipelines/train").get_json()["trains"]


def test_an_unchanged_pipeline_is_not_sent_again(http: FlaskClient) -> None:
    """
    With the tag of the last answer there is 304 and no body, until something is trained.
    """
    tag = http.get("/api/v1/pipelines/train").headers["ETag"]

    http.post("/api/v1/pipelines/train/load")
    unchanged = http.get("/api/v1/pipelines/train", headers={"If-None-Match": tag})
    http.post("/api/v1/pipelines/train/runs", json={"input": 1, "use_worker": False})
    http.post("/api/v1/pipelines/train/save")
    changed = http.get("/api/v1/pipelines/train", headers={"If-None-Match": tag})

    assert (304, b"") == (unchanged.status_code, unchanged.data)
    assert 200 == changed.status_code


def test_names_that_need_quoting_work(tmp_path: Path) -> None:
    """
    A pipeline may have spaces and umlauts in its name: its links lead to it.
    """
    named = Pipeline([Node(Echo(), [IN], OUT)], 'größe, "m" & more')
    server = track(PipelinesServer([named], TestOpStoreClient(tmp_path)))
    http = server.test_client()

    link = http.get("/api/v1/pipelines").get_json()["items"][0]["links"]["self"]
    response = http.post(f"{link}/runs", json={"input": 1})
    old = http.post(f"/pipelines/{link.rpartition('/')[2]}/main", json={"pipeline_input": 1})

    assert (200, 1) == (response.status_code, response.get_json()["output"])
    assert f'<{link}/runs>; rel="successor-version"' == old.headers["Link"]


def test_two_pipelines_of_one_name_are_an_error(tmp_path: Path) -> None:
    """
    A name that is given twice is an error as the server is made, and named.
    """
    twice = [pipeline for pipeline in pipelines() * 2 if pipeline.name == "echo"]

    with pytest.raises(DuplicatePipelineError, match="'echo'"):
        PipelinesServer(twice, TestOpStoreClient(tmp_path))


def test_what_is_no_pipeline_is_an_error(tmp_path: Path) -> None:
    """
    An op where a pipeline is due is an error that shows it.
    """
    with pytest.raises(ConfigurationError, match="Echo"):
        PipelinesServer([Echo()], TestOpStoreClient(tmp_path))  # type: ignore[list-item]


@pytest.mark.parametrize(("app", "pipeline"), [(True, None), (None, True), (True, True)])
def test_a_worker_without_a_backend_is_an_error_at_the_start(
    tmp_path: Path, app: bool | None, pipeline: bool | None
) -> None:
    """
    Where app or pipeline ask for a worker and there is no backend, no server is made.
    """
    asking = Pipeline([Node(Echo(), [IN], OUT)], "echo", use_worker=pipeline)

    with pytest.raises(BackendNotConfigured, match="worker_pool"):
        PipelinesServer([asking], TestOpStoreClient(tmp_path), use_workers=app)


@pytest.mark.parametrize(("app", "pipeline"), [(False, True), (True, False)])
def test_a_switch_that_is_overruled_needs_no_backend(
    tmp_path: Path, app: bool, pipeline: bool
) -> None:
    """
    Where one of the two says false, nothing asks for a worker.
    """
    asking = Pipeline([Node(Echo(), [IN], OUT)], "echo", use_worker=pipeline)
    server = track(PipelinesServer([asking], TestOpStoreClient(tmp_path), use_workers=app))

    response = server.test_client().post("/api/v1/pipelines/echo/runs", json={"input": 1})

    assert 200 == response.status_code


class Counting(PipelineCallback):
    """
    Counts runs.
    """

    def __init__(self) -> None:
        self.runs = 0

    def before_execution(self, pipeline: object, args: object) -> None:
        self.runs += 1


def test_default_callbacks_belong_to_the_server(tmp_path: Path) -> None:
    """
    Two servers of one pipeline call each their own callbacks, once; the pipeline has none.
    """
    shared = Pipeline([Node(Echo(), [IN], OUT)], "echo")
    first, second = Counting(), Counting()
    servers = [
        track(
            PipelinesServer([shared], TestOpStoreClient(tmp_path), default_pipeline_callbacks=[one])
        )
        for one in (first, second)
    ]

    servers[0].test_client().post("/api/v1/pipelines/echo/runs", json={"input": 1})
    shared.run(1)

    assert (1, 0) == (first.runs, second.runs)
    assert () == shared.pipeline_callbacks


def test_making_a_server_opens_nothing(tmp_path: Path) -> None:
    """
    A server is made without a store: no file, no folder.
    """
    make_server(tmp_path / "stores", worker_pool="local")

    assert [] == list(tmp_path.iterdir())


def test_a_route_of_the_users_own_stays_flasks(server: PipelinesServer) -> None:
    """
    The errors of a route that a user adds are answered as Flask does.
    """

    @server.get("/mine")
    def mine() -> str:
        from flask import abort

        abort(404)

    response = server.test_client().get("/mine")

    assert (404, "text/html") == (response.status_code, response.mimetype)


def test_request_hooks_of_the_user_run(server: PipelinesServer) -> None:
    """
    What a user hangs before requests can refuse any of them.
    """
    from flask import Response

    @server.before_request
    def refuse() -> Response:
        return Response("no", 401)

    response = server.test_client().post("/api/v1/pipelines/is_odd/runs", json={"input": 1})

    assert 401 == response.status_code
