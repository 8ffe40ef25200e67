"""
The routes of the op store server, by raw requests: what they take, and what they refuse.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from chariots_core.errors import ConfigurationError, StoreUnavailable
from chariots_core.op_store.blobs import blob_path
from chariots_core.op_store.savers import FileSaver
from chariots_core.op_store.values import Link, Manifest, SavedOp
from chariots_core.server.op_store import OpStoreServer
from chariots_core.testing import TestOpStoreClient
from chariots_core.versioning import Version

ROOT = "/api/v1/op-store"
VERSION = str(Version().update_minor(b"v1"))
LINK = {"upstream": "a", "upstream_version": "1", "downstream": "b", "downstream_version": "2"}
SAVED = {"op": "pca", "version": VERSION}
MANIFEST = {"pipeline": "train", "job_id": "job", "saved": [SAVED], "links": [LINK]}
LOST = {**SAVED, "digest": "ab" * 32, "size": 7, "trained": True}


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[OpStoreServer]:
    server = OpStoreServer(
        url=f"sqlite:///{tmp_path}/ops.db",
        saver=FileSaver(tmp_path / "bytes"),
        max_body_bytes=4000,
        max_blob_bytes=10_000,
    )
    yield server
    server.close()


@pytest.fixture(name="http")
def _http(server: OpStoreServer) -> FlaskClient:
    return server.test_client()


def problem(response: Any) -> tuple[int, str, str | None]:
    """
    The status of a problem, its name, and the code of the error's class.
    """
    body = response.get_json()
    assert "application/problem+json" == response.mimetype, response.text
    assert response.status_code == body["status"]
    assert response.headers["X-Request-ID"] == body["instance"]
    return response.status_code, body["type"].rpartition("/")[2], body.get("code")


def everything(server: OpStoreServer, tmp_path: Path) -> object:
    """
    All that a request could have changed.
    """
    store = server.store
    files = sorted(str(path) for path in (tmp_path / "bytes").rglob("*"))
    return store.revision(), store.known_pipelines(), store.savings("pca"), files


def test_bytes_come_back_as_they_were(http: FlaskClient) -> None:
    """
    Bytes are bodies, not JSON, under their SHA-256, which the answer repeats.
    """
    data = bytes(range(256)) + b"\r\n\0"
    url = f"{ROOT}/blobs/{digest_of(data)}"
    put = http.put(url, data=data)
    got = http.get(url)

    assert (200, {"result": digest_of(data)}) == (put.status_code, put.get_json())
    assert (200, data, "application/octet-stream") == (got.status_code, got.data, got.mimetype)
    assert got.headers["Repr-Digest"].startswith("sha-256=:")


def test_bytes_are_kept_once(server: OpStoreServer, http: FlaskClient, tmp_path: Path) -> None:
    """
    The same bytes put twice are one file, which is written once.
    """
    url = f"{ROOT}/blobs/{digest_of(b'weights')}"
    http.put(url, data=b"weights")
    path = tmp_path / "bytes" / blob_path(digest_of(b"weights"))
    before = path.stat()
    http.put(url, data=b"weights")

    assert (before.st_ino, before.st_mtime_ns) == (path.stat().st_ino, path.stat().st_mtime_ns)
    assert 1 == len([found for found in (tmp_path / "bytes").rglob("*") if found.is_file()])


def test_other_bytes_than_announced_are_refused(
    server: OpStoreServer, http: FlaskClient, tmp_path: Path
) -> None:
    """
    A body whose SHA-256 is not the one of its address is not kept under any.
    """
    response = http.put(f"{ROOT}/blobs/{digest_of(b'weights')}", data=b"weight")

    assert (422, "digest-mismatch", "artifact-corrupt") == problem(response)
    assert [] == list((tmp_path / "bytes").rglob("*"))


def test_damaged_bytes_are_not_given(http: FlaskClient, tmp_path: Path) -> None:
    """
    Bytes that the disk has changed are an error, and a missing file is another.
    """
    digest = digest_of(b"weights")
    http.put(f"{ROOT}/blobs/{digest}", data=b"weights")
    path = tmp_path / "bytes" / blob_path(digest)
    path.write_bytes(b"damaged")
    damaged = problem(http.get(f"{ROOT}/blobs/{digest}"))
    path.unlink()
    missing = problem(http.get(f"{ROOT}/blobs/{digest}"))

    assert (500, "op-store-error", "artifact-corrupt") == damaged
    assert (404, "bytes-not-found", "artifact-corrupt") == missing


@pytest.mark.parametrize(
    "digest", ["abc", "AB" * 32, "ab" * 33, "..%2F..%2Fops.db", "%2e%2e", "g" * 64, "ab" * 32]
)
def test_no_file_but_blobs_is_given(http: FlaskClient, digest: str) -> None:
    """
    What is no digest of known bytes is 404, and never a path.
    """
    assert 404 == http.get(f"{ROOT}/blobs/{digest}").status_code


BAD_BODIES = [
    ("publish", b"{", 400, "malformed-json"),
    ("publish", b'{"manifest": NaN}', 400, "malformed-json"),
    ("publish", b"\xff\xfe", 400, "malformed-json"),
    ("publish", b"[]", 422, "validation-error"),
    ("publish", b"", 422, "validation-error"),
    ("publish", {}, 422, "validation-error"),
    ("publish", {"manifest": None}, 422, "validation-error"),
    ("publish", {"manifest": {}}, 422, "validation-error"),
    ("publish", {"manifest": {**MANIFEST, "unknown": 1}}, 422, "validation-error"),
    ("publish", {"manifest": {**MANIFEST, "pipeline": "p\0"}}, 422, "validation-error"),
    ("publish", {"manifest": {**MANIFEST, "pipeline": "p" * 256}}, 422, "validation-error"),
    ("publish", {"manifest": {**MANIFEST, "job_id": "j" * 65}}, 422, "validation-error"),
    ("publish", {"manifest": MANIFEST, "release": "yes"}, 422, "validation-error"),
    ("publish", {"manifest": {**MANIFEST, "attempt": -1}}, 422, "validation-error"),
    ("publish", {"manifest": {**MANIFEST, "attempt": 2**70}}, 422, "validation-error"),
    ("publish", {"manifest": {**MANIFEST, "saved": [LOST]}}, 409, "bytes-not-put"),
    (
        "publish",
        {"manifest": {**MANIFEST, "saved": [{**LOST, "digest": "../../ops.db"}]}},
        422,
        "validation-error",
    ),
    (
        "publish",
        {"manifest": {**MANIFEST, "saved": [{**LOST, "size": -7}]}},
        422,
        "validation-error",
    ),
    (
        "publish",
        {"manifest": {**MANIFEST, "saved": [{**SAVED, "version": "1.2.3"}]}},
        422,
        "validation-error",
    ),
    (
        "publish",
        {"manifest": {**MANIFEST, "saved": [{**SAVED, "version": "a.b.c_0001-01-01T00:00+10:00"}]}},
        422,
        "validation-error",
    ),
    ("register", {"manifests": MANIFEST}, 422, "validation-error"),
    ("register", {"manifests": [MANIFEST, 5]}, 422, "validation-error"),
    ("validate", {"links": [{**LINK, "upstream": 5}]}, 422, "validation-error"),
    ("validate", {"links": [{"upstream": "a"}]}, 422, "validation-error"),
    ("activate", {"pipeline": "p", "ops": [LOST]}, 404, "op-not-found"),
    ("register-name", {"pipeline": ["p"]}, 422, "validation-error"),
    ("register-name", {"name": "p"}, 422, "validation-error"),
    ("register-name", {"pipeline": "p" * 5000}, 413, "payload-too-large"),
    ("newest", {"ops": "pca"}, 422, "validation-error"),
    ("newest", {"ops": ["pca"], "code": ["x"]}, 422, "validation-error"),
    ("valid", {"links": {}}, 422, "validation-error"),
]


@pytest.mark.parametrize("case", BAD_BODIES)
def test_bad_bodies_change_nothing(
    server: OpStoreServer, tmp_path: Path, case: tuple[str, Any, int, str]
) -> None:
    """
    What cannot be read, or cannot be so, is a problem of the client's, and nothing is changed.
    """
    route, body, status, slug = case
    before = everything(server, tmp_path)
    data = body if isinstance(body, bytes) else json.dumps(body)
    response = server.test_client().post(
        f"{ROOT}/{route}", data=data, content_type="application/json"
    )

    assert (status, slug) == problem(response)[:2]
    assert before == everything(server, tmp_path)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("savings", 422),
        ("savings?op=pca&limit=x", 422),
        ("savings?op=pca&limit=-1", 422),
        ("savings?op=pca&version=1", 422),
        ("savings?op=pca&limit=null", 200),
        ("savings?op=pca&limit=2&other=1", 422),
        ("savings?op=null", 200),
        ("activations?pipeline=p%00", 422),
        ("links-between?upstream=a", 422),
        ("links-between?upstream=a&downstream=", 200),
        ("candidate?pipeline=p", 200),
        ("nowhere", 404),
    ],
)
def test_questions_in_the_address(http: FlaskClient, query: str, status: int) -> None:
    """
    A query is checked as bodies are.
    """
    response = http.get(f"{ROOT}/{query}")

    assert status == response.status_code, response.text


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("route", ["blobs/" + digest_of(b"x" * 10_001), "publish", "/v1"])
def test_bodies_over_the_limit(
    http: FlaskClient, tmp_path: Path, server: OpStoreServer, route: str, chunked: bool
) -> None:
    """
    A body over its limit is 413, whether it says its length or not, and the limit is named.
    """
    body = b"x" * (10_001 if route.startswith("blobs") else 20_000)
    verb = "PUT" if route.startswith("blobs") else "POST"
    path = "/v1/save_op_bytes" if route == "/v1" else f"{ROOT}/{route}"
    before = everything(server, tmp_path)
    options: dict[str, Any] = {"data": body}
    if chunked:
        options = {
            "input_stream": io.BytesIO(body),
            "environ_overrides": {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
        }
    response = http.open(path, method=verb, content_type="application/json", **options)
    limits = {"publish": "4000", "/v1": "17336"}

    assert (413, "payload-too-large") == problem(response)[:2]
    assert limits.get(route, "10000") in response.get_json()["detail"]
    assert before == everything(server, tmp_path)


def test_largest_bytes_are_taken(http: FlaskClient) -> None:
    """
    Bytes of exactly the limit, which is over that of JSON, are kept.
    """
    data = b"x" * 10_000

    assert 200 == http.put(f"{ROOT}/blobs/{digest_of(data)}", data=data).status_code


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api/v1/pipelines", 404),
        ("GET", f"{ROOT}/publish", 405),
        ("POST", f"{ROOT}/revision", 405),
        ("DELETE", f"{ROOT}/blobs/{'ab' * 32}", 405),
        ("GET", "/v1/pipeline_exists", 405),
        ("PUT", f"{ROOT}/blobs/abc", 422),
    ],
)
def test_wrong_addresses_are_problems(http: FlaskClient, verb: str, path: str, status: int) -> None:
    """
    What is nowhere, or not done so, is a problem too.
    """
    assert status == problem(http.open(path, method=verb))[0]


def test_body_of_another_kind_is_refused(http: FlaskClient) -> None:
    """
    A form is no JSON.
    """
    response = http.post(f"{ROOT}/register-name", data={"pipeline": "p"})

    assert (415, "unsupported-media-type") == problem(response)[:2]


def test_probes(server: OpStoreServer, http: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A server whose database is away lives, and is not ready; it says why, and questions are 503.
    """
    ready = http.get("/readyz")

    def away(*_: object) -> None:
        raise StoreUnavailable("op store 'x' cannot be used: away", retry_after=7)

    monkeypatch.setattr(server.store, "ping", away)
    monkeypatch.setattr(server.store, "revision", away)
    unready, question = http.get("/readyz"), http.get(f"{ROOT}/revision")

    assert (200, 200, 503) == (
        http.get("/livez").status_code,
        ready.status_code,
        unready.status_code,
    )
    assert {"op_store": "op store 'x' cannot be used: away"} == unready.get_json()["reasons"]
    assert (503, "backend-unavailable", "store-unavailable") == problem(question)
    assert "7" == question.headers["Retry-After"]


def test_fault_of_the_server_shows_nothing(
    server: OpStoreServer, http: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What nobody foresaw is a 500 that does not repeat the exception.
    """

    def broken() -> int:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(server.store, "revision", broken)
    response = http.get(f"{ROOT}/revision")

    assert (500, "internal-error") == problem(response)[:2]
    assert "hunter2" not in response.text


def test_old_routes_can_be_left_out(tmp_path: Path) -> None:
    """
    Without the old routes there is nothing under /v1.
    """
    server = OpStoreServer(TestOpStoreClient(tmp_path), legacy_routes=False)
    response = server.test_client().post("/v1/pipeline_exists", json={"pipeline_name": "p"})
    server.close()

    assert 404 == response.status_code


@pytest.mark.parametrize("wrong", ["nothing", "both", "half", "other"])
def test_server_needs_one_store(tmp_path: Path, wrong: str) -> None:
    """
    Not one store, or none at all, is an error when the server is made.
    """
    store, saver = TestOpStoreClient(tmp_path), FileSaver(tmp_path)
    arguments: dict[str, dict[str, Any]] = {
        "nothing": {},
        "both": {"store": store, "saver": saver},
        "half": {"url": f"sqlite:///{tmp_path}/ops.db"},
        "other": {"store": "sqlite:///ops.db"},
    }

    with pytest.raises(ConfigurationError, match="needs one op store"):
        OpStoreServer(**arguments[wrong])


def test_manifest_on_the_wire_is_its_json(server: OpStoreServer, http: FlaskClient) -> None:
    """
    A manifest's own JSON text is what the route takes.
    """
    saved = SavedOp(op="pca", version=Version.parse(VERSION), trained=True)
    manifest = Manifest(pipeline="p", job_id="j", saved=(saved,), links=(Link(**LINK),))
    body = f'{{"manifest": {manifest.to_json()}}}'
    response = http.post(f"{ROOT}/publish", data=body, content_type="application/json")

    assert {"result": True} == response.get_json()
    assert ["pca"] == [known.op for known in server.store.savings("pca")]
