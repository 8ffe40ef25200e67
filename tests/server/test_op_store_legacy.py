"""
The op store's routes of 2019-2020: the bodies that they always had.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from chariots_core.op_store.savers import FileSaver
from chariots_core.server.op_store import OpStoreServer
from chariots_core.versioning import Version

OLD = "2020-01-01 10:00:00.1"
V1 = f"{'a' * 40}.{'b' * 40}.{'c' * 40}_2020-01-01T10:00:00.100000+00:00"
V2 = f"{'a' * 40}.{'b' * 40}.{'d' * 40}_2020-01-02T10:00:00+00:00"


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[OpStoreServer]:
    server = OpStoreServer(url=f"sqlite:///{tmp_path}/ops.db", saver=FileSaver(tmp_path / "bytes"))
    yield server
    server.close()


@pytest.fixture(name="http")
def _http(server: OpStoreServer) -> FlaskClient:
    return server.test_client()


def post(http: FlaskClient, route: str, **body: Any) -> bytes:
    """
    The bytes of a successful answer.
    """
    response = http.post(f"/v1/{route}", json=body)
    assert (200, "application/json") == (response.status_code, response.mimetype), response.text
    assert response.headers["Deprecation"].startswith("@")
    assert 'rel="successor-version"' in response.headers["Link"]
    return bytes(response.data)


def save(http: FlaskClient, op: str, version: str, data: bytes) -> bytes:
    return post(
        http,
        "save_op_bytes",
        op_name=op,
        version=version,
        bytes=base64.b64encode(data).decode(),
    )


def test_nothing_is_null(http: FlaskClient) -> None:
    """
    Of what the store does not know, the answer is null.
    """
    assert b"null" == post(http, "get_all_versions_of_op", desired_op_name="pca")
    assert b"null" == post(
        http, "get_validated_links", downstream_op_name=None, upstream_op_name="pca"
    )


def test_bytes_and_versions(http: FlaskClient) -> None:
    """
    What is saved is among the versions, and its bytes come back, byte for byte.
    """
    saved = [save(http, "pca", V1, b"\0one\xff"), save(http, "pca", V2, b"")]
    versions = post(http, "get_all_versions_of_op", desired_op_name="pca")
    data = post(http, "get_op_bytes_for_version", desired_op_name="pca", version=V1)
    empty = post(http, "get_op_bytes_for_version", desired_op_name="pca", version=V2)

    assert [b"{}", b"{}"] == saved
    assert f'{{"op_name":"pca","all_versions":["{V1}","{V2}"]}}'.encode() == versions
    assert f'{{"op_name":"pca","op_version":"{V1}","bytes":"AG9uZf8="}}'.encode() == data
    assert f'{{"op_name":"pca","op_version":"{V2}","bytes":""}}'.encode() == empty


def test_old_version_texts_are_read(http: FlaskClient) -> None:
    """
    A version with a creation time of the old form, without a zone, is the same version.
    """
    save(http, "pca", f"{V1.partition('_')[0]}_{OLD}", b"one")
    versions = json.loads(post(http, "get_all_versions_of_op", desired_op_name="pca"))

    assert [V1] == versions["all_versions"]


def test_links(http: FlaskClient) -> None:
    """
    A validated link is to the newest downstream version, or to a pipeline's output.
    """
    save(http, "pca", V1, b"pca")
    save(http, "forest", V2, b"forest")
    link = {"upstream_op_name": "pca", "upstream_op_version": V1}
    told = [
        post(http, "register_valid_link", downstream_op_name=name, **link)
        for name in ("forest", None)
    ]
    links = [
        post(http, "get_validated_links", downstream_op_name=name, upstream_op_name="pca")
        for name in ("forest", None)
    ]

    assert [b"{}", b"{}"] == told
    assert [
        f'{{"downstream_op_name":{name},"upstream_op_name":"pca","upstream_versions":["{V1}"]}}'
        for name in ('"forest"', "null")
    ] == [found.decode() for found in links]


def test_pipelines(http: FlaskClient) -> None:
    """
    A pipeline exists once it was registered.
    """
    before = post(http, "pipeline_exists", pipeline_name="predict")
    made = post(http, "register_new_pipeline", pipeline_name="predict", last_op_name="forest")
    after = post(http, "pipeline_exists", pipeline_name="predict")

    assert (b'{"exists":false}', b"{}", b'{"exists":true}') == (before, made, after)


@pytest.mark.parametrize(
    ("route", "body", "status"),
    [
        ("get_all_versions_of_op", b"{", 400),
        ("get_all_versions_of_op", {}, 422),
        ("get_all_versions_of_op", {"desired_op_name": None}, 422),
        ("get_validated_links", {"upstream_op_name": "pca"}, 422),
        ("get_op_bytes_for_version", {"desired_op_name": "pca", "version": V1}, 404),
        ("get_op_bytes_for_version", {"desired_op_name": "pca", "version": "1.2.3"}, 422),
        ("save_op_bytes", {"op_name": "pca", "version": V1}, 422),
        ("save_op_bytes", {"op_name": "pca", "version": V1, "bytes": "a"}, 422),
        ("save_op_bytes", {"op_name": "pca", "version": V1, "bytes": "ü==="}, 422),
        ("save_op_bytes", {"op_name": "", "version": V1, "bytes": ""}, 422),
        ("save_op_bytes", {"op_name": "pca", "version": "a.b.c_never", "bytes": ""}, 422),
        ("save_op_bytes", {"op_name": "pca", "version": "a.b.c_9999999", "bytes": ""}, 422),
        ("register_valid_link", {"upstream_op_name": "pca", "upstream_op_version": V1}, 422),
        ("register_new_pipeline", {"pipeline_name": "", "last_op_name": "x"}, 422),
        ("register_new_pipeline", {"pipeline_name": "p", "last_op_name": ""}, 422),
        ("pipeline_exists", [], 422),
    ],
)
def test_wrong_input_changes_nothing(
    server: OpStoreServer, http: FlaskClient, route: str, body: Any, status: int
) -> None:
    """
    What the old server met with a 500 is told as what it is, and nothing is changed.
    """
    data = body if isinstance(body, bytes) else json.dumps(body)
    response = http.post(f"/v1/{route}", data=data, content_type="application/json")

    assert (status, "application/problem+json") == (response.status_code, response.mimetype)
    assert (0, frozenset()) == (server.store.revision(), server.store.known_pipelines())


def test_old_and_new_are_one_store(server: OpStoreServer, http: FlaskClient) -> None:
    """
    What the old routes save, the new ones know.
    """
    save(http, "pca", V1, b"one")

    assert Version.parse(V1) == server.store.newest(["pca"])["pca"].version
