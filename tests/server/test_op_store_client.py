"""
The client of an op store server: what it sends again, what it hides, what it refuses.
"""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import httpx
import msgspec
import pytest

from chariots_core.app.stores import default_op_store
from chariots_core.client import HTTPTransport, Reply, Request, RetryPolicy, ServerUnreachable
from chariots_core.errors import (
    ArtifactCorrupt,
    ConfigurationError,
    OpStoreError,
    OpVersionNotFound,
    PayloadTooLarge,
    StoreUnavailable,
)
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.values import ActiveSet, Link, Manifest, OpVersion, SavedOp
from chariots_core.op_store_http import OpStoreClient
from chariots_core.op_store_http.address import read_server_address
from chariots_core.op_store_http.calls import CALLS
from chariots_core.op_store_http.forms import form_of
from chariots_core.server.op_store import OpStoreServer
from chariots_core.testing import TestOpStoreClient
from chariots_core.versioning import Version
from tests.support import free_port

Act = Callable[[BaseOpStoreClient], object]

LINK = Link(upstream="a", upstream_version="1", downstream="b", downstream_version="2")


class Lossy:
    """
    A carrier that loses answers, or changes them, and counts what it was given.
    """

    def __init__(self, app: OpStoreServer) -> None:
        self._http = HTTPTransport("http://ops", carrier=httpx.WSGITransport(app=app))
        self.loses = 0
        self.change: Callable[[Reply], Reply] = lambda reply: reply
        self.sent: list[Request] = []

    def send(self, request: Request) -> Reply:
        self.sent.append(request)
        reply = self.change(self._http.send(request))
        if self.loses:
            self.loses -= 1
            raise ServerUnreachable("lost", url=reply.url, sent=True)
        return reply

    def close(self) -> None:
        self._http.close()


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[OpStoreServer]:
    server = OpStoreServer(TestOpStoreClient(tmp_path), max_blob_bytes=1000)
    yield server
    server.close()


@pytest.fixture(name="lossy")
def _lossy(server: OpStoreServer) -> Lossy:
    return Lossy(server)


@pytest.fixture(name="client")
def _client(lossy: Lossy) -> Iterator[OpStoreClient]:
    retries = RetryPolicy(first_delay=0.0)
    client = OpStoreClient("http://ops", retries=retries, transport=lambda: lossy)
    yield client
    client.close()


def manifest(job_id: str | None) -> Manifest:
    saved = SavedOp(op="pca", version=Version(), trained=True)
    return Manifest(pipeline="train", job_id=job_id, saved=(saved,))


REPEATED: dict[str, Act] = {
    "put_blob": lambda store: store.put_blob(b"weights"),
    "newest": lambda store: store.newest(["pca"]),
    "savings": lambda store: store.savings("pca"),
    "valid": lambda store: store.valid([LINK]),
    "candidate": lambda store: store.candidate("train"),
    "publish of a job": lambda store: store.publish(manifest("job")),
    "validate": lambda store: store.validate([LINK]),
    "register": lambda store: store.register([manifest(None)]),
    "register_name": lambda store: store.register_name("p"),
}

SENT_ONCE: dict[str, Act] = {
    "publish of a run": lambda store: store.publish(manifest(None)),
    "activate": lambda store: store.activate("p", [SavedOp(op="a", version=Version())]),
    "revision": lambda store: store.revision(),
    "ping": lambda store: store.ping(),
}


@pytest.mark.parametrize("act", REPEATED.values(), ids=REPEATED)
def test_sent_again_where_that_is_safe(client: OpStoreClient, lossy: Lossy, act: Act) -> None:
    """
    Of what may be carried out twice, a lost answer is asked for again.
    """
    lossy.loses = 2
    act(client)

    assert 3 == len(lossy.sent)


@pytest.mark.parametrize("act", SENT_ONCE.values(), ids=SENT_ONCE)
def test_sent_once_where_that_is_not(client: OpStoreClient, lossy: Lossy, act: Act) -> None:
    """
    What may not, and what is asked again in a second anyway, is sent once.
    """
    lossy.loses = 1
    with pytest.raises(StoreUnavailable, match="'http://ops' broke the connection"):
        act(client)

    assert 1 == len(lossy.sent)


def test_lost_answer_of_a_publication(client: OpStoreClient, lossy: Lossy) -> None:
    """
    A job's publication whose answer was lost is there once.
    """
    lossy.loses = 1
    published = [client.publish(manifest("job")), client.publish(manifest("job"))]

    assert ([False, False], 1) == (published, len(client.savings("pca")))


def test_every_method_of_the_contract_has_its_route() -> None:
    """
    A method that is added to the contract is added to the wire, or this test says so.
    """
    without = {"put_blob", "get_blob", "close"}

    assert set(BaseOpStoreClient.__abstractmethods__) == CALLS.keys() | without


@pytest.mark.parametrize("name", sorted(BaseOpStoreClient.__abstractmethods__))
def test_client_takes_what_the_contract_takes(name: str) -> None:
    """
    An argument that is added to the contract is added to the client, or this test says so.
    """
    assert inspect.signature(getattr(BaseOpStoreClient, name)) == inspect.signature(
        getattr(OpStoreClient, name)
    )


def test_values_come_back_as_they_were() -> None:
    """
    Each value of the op store, with each of its attributes, survives the wire.
    """
    now = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    version = Version().update_patch(b"x")
    known = OpVersion(
        seq=1, op="a", version=version, code="c", digest="d" * 64, size=2, created_at=now,
        pipeline="p", job_id="j", released=False, serializer="s",
    )  # fmt: skip
    values = [
        (ActiveSet, ActiveSet(pipeline="p", generation=2, ops={"a": known}, created_at=now)),
        (Manifest, Manifest(pipeline="p", saved=(known.as_saved(),), links=(LINK,))),
        (Manifest | None, None),
        (frozenset[Link], frozenset([LINK])),
    ]

    for hint, value in values:
        form = form_of(hint)
        text = msgspec.json.encode(form.to_wire(value))
        back = form.from_wire(msgspec.json.decode(text, type=form.wire))
        assert value == back
        if isinstance(back, ActiveSet):
            assert version.creation_time == back.ops["a"].version.creation_time


def test_unknown_kinds_have_no_form() -> None:
    """
    What nobody has given a form is an error when the program starts, and not on the wire.
    """
    with pytest.raises(TypeError, match="no form on the wire"):
        form_of(complex)


def test_errors_are_those_of_the_store(client: OpStoreClient, tmp_path: Path) -> None:
    """
    What the store raises, the client raises: the same class, with the same message.
    """
    lost = SavedOp(op="pca", version=Version(), digest="ab" * 32, size=7)
    embedded = TestOpStoreClient(tmp_path)
    acts: list[tuple[type[Exception], Act]] = [
        (OpVersionNotFound, lambda store: store.activate("p", [lost])),
        (ArtifactCorrupt, lambda store: store.publish(Manifest(pipeline="p", saved=(lost,)))),
        (ArtifactCorrupt, lambda store: store.get_blob("ab" * 32)),
    ]
    for kind, act in acts:
        messages = []
        for store in (client, embedded):
            with pytest.raises(kind) as caught:
                act(store)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
    embedded.close()


def test_too_many_bytes(client: OpStoreClient) -> None:
    """
    More bytes than the server takes are an error that names the limit.
    """
    with pytest.raises(PayloadTooLarge, match="over 1000 bytes"):
        client.put_blob(b"x" * 1001)


def test_bytes_changed_on_the_way(client: OpStoreClient, lossy: Lossy) -> None:
    """
    Bytes that are not those of their digest are refused, whoever has changed them.
    """
    digest = client.put_blob(b"weights")
    lossy.change = lambda reply: attrs.evolve(reply, content=b"w" + reply.content)

    with pytest.raises(ArtifactCorrupt, match="changed or damaged on the way"):
        client.get_blob(digest)


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (200, b"<html>", StoreUnavailable),
        (200, b"{}", StoreUnavailable),
        (200, b'{"result": "x"}', StoreUnavailable),
        (302, b"", StoreUnavailable),
        (302, b"{}", StoreUnavailable),
        (404, b"<html>", StoreUnavailable),
        (502, b"bad gateway", StoreUnavailable),
        (500, b'{"type": "x/internal-error", "status": 500, "detail": "d"}', StoreUnavailable),
        (422, b'{"type": "x/validation-error", "status": 422, "detail": "d"}', OpStoreError),
    ],
)
def test_answers_of_something_else(
    client: OpStoreClient, lossy: Lossy, status: int, content: bytes, kind: type[Exception]
) -> None:
    """
    What is no answer of an op store is an error that names the server, and no crash.
    """
    lossy.change = lambda reply: attrs.evolve(reply, status=status, content=content)

    with pytest.raises(kind, match="op store server 'http://ops'"):
        client.revision()


def test_newer_servers_may_say_more(client: OpStoreClient, lossy: Lossy) -> None:
    """
    Members that the client does not know are passed over.
    """
    client.publish(manifest("job"))
    lossy.change = lambda reply: attrs.evolve(
        reply, content=reply.content.replace(b'"seq":', b'"newer":{},"seq":')
    )

    assert ["pca"] == [known.op for known in client.savings("pca")]


def test_secrets_of_the_address_are_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    """
    Neither the client nor its errors, their causes or the log show a password.
    """
    port = free_port()
    client = OpStoreClient(f"http://us%65r:s3cr%40t@127.0.0.1:{port}/ops/")
    with caplog.at_level(logging.DEBUG), pytest.raises(StoreUnavailable) as caught:
        client.ping()
    told = repr(client) + client.url + caplog.text
    told += "".join(traceback.format_exception(caught.value))
    client.close()

    assert f"'http://127.0.0.1:{port}/ops'" in told
    assert [] == [secret for secret in ("s3cr", "czNjc", "user:", "us%65r") if secret in told]


def test_secrets_are_sent() -> None:
    """
    The user and the password go to the server as basic authentication.
    """
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"result": 3})

    address = read_server_address("http://us%65r:s3cr%40t@ops:80/x/")
    client = OpStoreClient(
        "http://ops",
        transport=lambda: HTTPTransport(
            address.url, headers=address.headers, carrier=httpx.MockTransport(answer)
        ),
    )

    assert 3 == client.revision()
    assert "s3cr" not in repr(address)
    assert ("http://ops:80/x", "Basic dXNlcjpzM2NyQHQ=") == (
        address.url,
        seen[0].headers["Authorization"],
    )
    client.close()


@pytest.mark.parametrize(
    "url",
    ["", "ops:5001", "http://", "ftp://u:hunter2@ops", "http://u:hunter2@ops:x",
     "http://ops?token=hunter2", "http://u:hunter2@[ops"],
)  # fmt: skip
def test_wrong_address_is_refused(url: str) -> None:
    """
    What is no address is an error when the client is made, which does not repeat it.
    """
    with pytest.raises(ConfigurationError, match="write http://host:port") as caught:
        OpStoreClient(url)

    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_closed_client_connects_anew(client: OpStoreClient, lossy: Lossy) -> None:
    """
    Closing is idempotent, and a later use works.
    """
    client.ping()
    client.close()
    client.close()

    assert 0 == client.revision()


def test_app_takes_the_server_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """
    CHARIOTS_OP_STORE may be the address of a server, in any letters.
    """
    found: list[Any] = []
    for url in ("http://ops:5001", "HTTPS://ops", f"sqlite:///{tmp_path}/ops.db"):
        monkeypatch.setenv("CHARIOTS_OP_STORE", url)
        found.append(type(default_op_store()).__name__)

    assert ["OpStoreClient", "OpStoreClient", "LocalOpStoreClient"] == found
