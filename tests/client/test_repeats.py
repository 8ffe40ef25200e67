"""
What a client sends again: nothing that could then be carried out twice.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from werkzeug.serving import make_server as make_http_server

from chariots_core import errors
from chariots_core.client import (
    AsyncPipelinesClient,
    HTTPTransport,
    PipelineResponse,
    PipelinesClient,
    Reply,
    Request,
    RetryPolicy,
    ServerTimeout,
    ServerUnreachable,
    Timeouts,
)
from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.server import PipelinesServer
from chariots_core.testing import TestOpStoreClient
from tests.apps import IN, OUT, track
from tests.client.conftest import Scripted
from tests.support import wait_until

QUICK = RetryPolicy(attempts=3, first_delay=0.01)
RUN = json.dumps({"output": 1, "versions": {}, "use_worker": False, "job": None}).encode()
AWAY = json.dumps(
    {"type": "https://x/problems/backend-unavailable", "status": 503, "detail": "away"}
).encode()
REFUSED = json.dumps({"type": "https://x/problems/not-repeatable", "status": 409}).encode()

Call = Callable[..., PipelineResponse]


def call(url: str, **options: Any) -> PipelineResponse:
    """
    Call a pipeline, and try again soon.
    """
    with PipelinesClient(url, retries=QUICK) as client:
        return client.call_pipeline("echo", 1, **options)


def call_in_a_coroutine(url: str, **options: Any) -> PipelineResponse:
    """
    The same by the client for coroutines.
    """

    async def asked() -> PipelineResponse:
        async with AsyncPipelinesClient(url, retries=QUICK) as client:
            return await client.call_pipeline("echo", 1, **options)

    return asyncio.run(asked())


both = pytest.mark.parametrize("call", [call, call_in_a_coroutine])


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The tests' servers are on this machine.
    """
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


# --- a server that keeps calls in the request -----------------------------------


@attrs.define
class Slow:
    """
    A server whose only pipeline is slower than its client is patient.
    """

    url: str = ""
    runs: list[Any] = attrs.field(factory=list)
    answers: list[str] = attrs.field(factory=list)
    released: threading.Event = attrs.field(factory=threading.Event)


@pytest.fixture(name="slow")
def _slow(tmp_path: Path) -> Iterator[Slow]:
    slow = Slow()

    class Train(BaseOp):
        """
        Takes as long as the test wants.
        """

        def execute(self, value: Any) -> Any:
            slow.runs.append(value)
            assert slow.released.wait(30.0)
            return value

    server = PipelinesServer(
        [Pipeline([Node(Train(), [IN], OUT)], "train")],
        TestOpStoreClient(tmp_path),
        worker_pool={"backend": "local", "url": f"sqlite:///{tmp_path}/jobs.db"},
        use_workers=False,
        import_name="tests_app",
    )

    def answering(environ: Any, start_response: Any) -> Any:
        def started(status: str, headers: Any, exc_info: Any = None) -> Any:
            slow.answers.append(status)
            return start_response(status, headers, exc_info)

        return server(environ, started)

    track(server).testing = True
    http = make_http_server("127.0.0.1", 0, answering, threaded=True)
    slow.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield slow
    slow.released.set()
    http.shutdown()
    thread.join()
    http.server_close()


class Counting(HTTPTransport):
    """
    Knows how often it sent something.
    """

    sent = 0

    def send(self, request: Request) -> Reply:
        self.sent += 1
        return super().send(request)


@pytest.mark.parametrize(
    "switches",
    [
        {"use_worker": True},
        {"use_worker": True, "idempotency_key": "mine"},
        {"use_worker": None, "idempotency_key": "mine"},
        {"use_worker": False, "idempotency_key": "mine"},
        {"use_worker": None},
    ],
)
def test_a_call_that_the_app_keeps_in_the_request_runs_once(
    slow: Slow, switches: dict[str, Any]
) -> None:
    """
    However a call asks for a worker: where its answer is lost and the app's switch is off,
    the pipeline has run once, and the error says that it may have.
    """
    transport = Counting(slow.url, timeouts=Timeouts(answer=0.3))
    with PipelinesClient(slow.url, transport=transport, retries=QUICK) as client:
        with pytest.raises(ServerTimeout) as caught:
            client.call_pipeline("train", 1, **switches)
        slow.released.set()
        wait_until(lambda: len(slow.answers) == transport.sent, message=lambda: str(slow.answers))

    assert caught.value.sent
    assert [1] == slow.runs
    assert ["200 OK"] == [answer for answer in slow.answers if not answer.startswith("409")]


def test_a_new_call_under_the_same_key_runs(slow: Slow) -> None:
    """
    What the caller calls anew is no repeat, whatever key it has.
    """
    slow.released.set()
    with PipelinesClient(slow.url) as client:
        for _ in range(2):
            client.call_pipeline("train", 1, use_worker=True, idempotency_key="mine")

    assert [1, 1] == slow.runs


# --- what goes over the wire ----------------------------------------------------


def marks(scripted: Scripted) -> list[str | None]:
    """
    Which of the requests said that they are repeats.
    """
    return [headers.get("chariots-repeat") for _, _, headers in scripted.asked]


@both
def test_a_repeat_says_so(scripted: Scripted, call: Call) -> None:
    """
    A request is marked once an earlier one may have arrived, and not before.
    """
    scripted.answers = [None, (503, {}, AWAY), (200, {}, RUN)]

    assert 1 == call(scripted.url, use_worker=True).value
    assert [None, "true", "true"] == marks(scripted)


@both
def test_a_refused_repeat_is_the_lost_answer(scripted: Scripted, call: Call) -> None:
    """
    Where the server does not run a repeat, the caller gets the error of the lost answer,
    and nothing more is sent.
    """
    scripted.answers = [None, (409, {}, REFUSED), (200, {}, RUN)]

    with pytest.raises(ServerUnreachable, match="not known") as caught:
        call(scripted.url, use_worker=True)

    assert caught.value.sent
    assert [None, "true"] == marks(scripted)


def test_a_refused_repeat_is_the_answer_before(scripted: Scripted) -> None:
    """
    Where the first answer was that something is away, so is the error.
    """
    scripted.answers = [(503, {}, AWAY), (409, {}, REFUSED)]

    with pytest.raises(errors.BackendUnavailable, match="away"):
        call(scripted.url, use_worker=True)


def test_another_conflict_is_an_answer(scripted: Scripted) -> None:
    """
    A repeat that meets versions without a valid link raises what it met.
    """
    conflict = {"type": "https://x/problems/version-conflict", "status": 409, "detail": "no link"}
    scripted.answers = [None, (409, {}, json.dumps(conflict).encode())]

    with pytest.raises(errors.VersionError, match="no link"):
        call(scripted.url, use_worker=True)


@attrs.define
class Failing:
    """
    Carries nothing: fails as it is told, and remembers what it was given.
    """

    failures: list[bool]
    given: list[Request] = attrs.field(factory=list)

    def send(self, request: Request) -> Reply:
        """
        Fail, before or after the request may have arrived.
        """
        self.given.append(request)
        sent = self.failures.pop(0)
        raise ServerUnreachable(f"sent: {sent}", url="http://x", sent=sent)

    def close(self) -> None:
        """
        Nothing to give back.
        """


def test_what_may_have_arrived_is_not_forgotten() -> None:
    """
    After a request that may have arrived and one that did not, the error says that it may.
    """
    transport = Failing([True, False, False])
    client = PipelinesClient(transport=transport, retries=QUICK)

    with pytest.raises(ServerUnreachable) as caught:
        client.call_pipeline("echo", 1, use_worker=True)

    assert caught.value.sent
    assert [0, 1, 1] == [len(request.headers) - 1 for request in transport.given]


def test_what_certainly_did_not_arrive_is_no_repeat() -> None:
    """
    A call in the request is sent again, unmarked, while the server takes no connection.
    """
    transport = Failing([False, False, True])
    client = PipelinesClient(transport=transport, retries=QUICK)

    with pytest.raises(ServerUnreachable) as caught:
        client.call_pipeline("echo", 1)

    assert caught.value.sent
    assert [{}, {}, {}] == [request.headers for request in transport.given]
