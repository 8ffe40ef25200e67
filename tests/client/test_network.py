"""
Clients over a network: what goes wrong on the way, and what is tried again.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from chariots_core import errors
from chariots_core.client import (
    AsyncPipelinesClient,
    PipelinesClient,
    RetryPolicy,
    ServerTimeout,
    ServerUnreachable,
    Timeouts,
    UnexpectedAnswer,
)
from chariots_core.jobs.status import JobStatus
from tests.client.conftest import Scripted
from tests.support import free_port

RUN = json.dumps({"output": 1, "versions": {}, "use_worker": False, "job": None}).encode()
AWAY = json.dumps(
    {"type": "https://x/problems/backend-unavailable", "status": 503, "detail": "away"}
).encode()
QUICK = RetryPolicy(attempts=3, first_delay=0.01)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The tests' servers are on this machine.
    """
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_over_a_network(url: str, worker: Callable[[], Any]) -> None:
    """
    A call, a job and its result, over real connections.
    """
    with PipelinesClient(url) as client, worker():
        job = client.call_pipeline("is_odd", 4, use_worker=True)

        assert client.call_pipeline("is_odd", 4).value is True
        assert client.wait_for_job(job, timeout=10.0).value is True


async def test_coroutines_do_the_same(url: str, worker: Callable[[], Any]) -> None:
    """
    The client for coroutines offers each call, with the same answers and errors.
    """
    seen: list[float] = []
    async with AsyncPipelinesClient(url) as client:
        with worker():
            response = await client.call_pipeline("is_odd", 4)
            job = await client.call_pipeline("steps", 4, use_worker=True)
            done = await client.wait_for_job(
                job, timeout=20.0, on_progress=lambda progress: seen.append(progress.done)
            )
            fetched = await client.fetch_job(job.job_id or "", "steps")
        await client.call_pipeline("train", 2.0)
        await client.save_pipeline("train")
        await client.load_pipeline("predict")

        assert (True, 4, done) == (response.value, done.value, fetched)
        assert seen
        assert response is await client.wait_for_job(response)
        assert [job.job_id] == [item["id"] async for item in client.list_jobs(status="done")]
        assert "is_odd" in await client.list_pipelines()
        assert await client.is_pipeline_loaded("predict")
        assert {"model"} == set(await client.pipeline_versions("predict"))
        assert "ok" == (await client.readiness())["status"]
        with pytest.raises(errors.PipelineNotFound):
            await client.call_pipeline("nope")
        queued = await client.call_pipeline("echo", use_worker=True)
        with pytest.raises(errors.WaitTimeout):
            await client.wait_for_job(queued, timeout=0.02)


def test_nobody_there(url: str) -> None:
    """
    Where nothing listens, the error names the address, and is a ClientError.
    """
    del url
    port = free_port()
    client = PipelinesClient(f"http://127.0.0.1:{port}", retries=QUICK)

    with pytest.raises(ServerUnreachable, match=f"http://127.0.0.1:{port}/api/v1") as caught:
        client.call_pipeline("echo")

    assert isinstance(caught.value, errors.ClientError)
    assert not caught.value.sent


async def test_nobody_there_for_coroutines() -> None:
    """
    The same for coroutines.
    """
    async with AsyncPipelinesClient(f"http://127.0.0.1:{free_port()}", retries=QUICK) as client:
        with pytest.raises(ServerUnreachable, match="is the server running"):
            await client.list_pipelines()


def test_no_answer_in_time() -> None:
    """
    A server that takes the connection and says nothing is a ServerTimeout, a TimeoutError,
    which names the option that helps.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = PipelinesClient(
            f"http://127.0.0.1:{silent.getsockname()[1]}", timeouts=Timeouts(answer=0.1)
        )
        with pytest.raises(ServerTimeout, match=r"timeouts=Timeouts\(answer=") as caught:
            client.call_pipeline("echo", 1)

    assert isinstance(caught.value, TimeoutError)
    assert caught.value.sent


def test_reading_is_tried_again(scripted: Scripted) -> None:
    """
    A look that meets 503 or a broken connection is tried again, until it succeeds.
    """
    scripted.answers = [(503, {}, AWAY), None, (200, {}, b'{"items": [{"name": "a"}]}')]

    assert ["a"] == PipelinesClient(scripted.url, retries=QUICK).list_pipelines()
    assert 3 == len(scripted.asked)


def test_a_job_is_asked_for_again_under_one_key(scripted: Scripted) -> None:
    """
    A call that asks for a worker is tried again, each time under the same key.
    """
    scripted.answers = [(503, {}, AWAY), None, (200, {}, RUN)]

    PipelinesClient(scripted.url, retries=QUICK).call_pipeline("echo", 1, use_worker=True)

    keys = [headers["idempotency-key"] for _, _, headers in scripted.asked]
    assert 3 == len(keys)
    assert 1 == len(set(keys))


@pytest.mark.parametrize("answer", [(503, {}, AWAY), None])
def test_a_run_in_the_request_is_sent_once(scripted: Scripted, answer: Any) -> None:
    """
    A call that may run in the request is never sent twice: the first one may have run.
    """
    scripted.answers = [answer, (200, {}, RUN)]

    with pytest.raises((errors.BackendUnavailable, ServerUnreachable)):
        PipelinesClient(scripted.url, retries=QUICK).call_pipeline("echo", 1)

    assert 1 == len(scripted.asked)


def test_tries_end(scripted: Scripted) -> None:
    """
    After the last try the error is the server's own.
    """
    scripted.answers = [(503, {"Retry-After": "0"}, AWAY)] * 3

    with pytest.raises(errors.BackendUnavailable, match="away"):
        PipelinesClient(scripted.url, retries=QUICK).list_pipelines()

    assert [] == scripted.answers


@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b"null"])
def test_what_is_no_chariots_server(scripted: Scripted, status: int, body: bytes) -> None:
    """
    An answer of something else is an UnexpectedAnswer that names the address.
    """
    scripted.answers = [(status, {}, body)]

    with pytest.raises(UnexpectedAnswer, match=scripted.url) as caught:
        PipelinesClient(scripted.url, retries=QUICK).call_pipeline("echo", 1)

    assert status == caught.value.status


def test_a_problem_that_is_not_known(scripted: Scripted) -> None:
    """
    A problem of a newer server is a RequestRejected with its words.
    """
    body = {"type": "https://x/problems/too-new", "status": 418, "detail": "as it says"}
    scripted.answers = [(418, {}, json.dumps(body).encode())]

    with pytest.raises(errors.ClientError, match="as it says"):
        PipelinesClient(scripted.url).list_pipelines()


def test_an_unknown_submission_names_the_job(scripted: Scripted) -> None:
    """
    Where it is not known whether a job was handed over, the error has the job's id.
    """
    body = {
        "type": "https://x/problems/backend-unavailable",
        "code": "submission-unknown",
        "status": 503,
        "detail": "no answer",
        "job_id": "abc",
    }
    scripted.answers = [(503, {}, json.dumps(body).encode())] * 3

    with pytest.raises(errors.SubmissionUnknown) as caught:
        PipelinesClient(scripted.url, retries=QUICK).call_pipeline("echo", use_worker=True)

    assert "abc" == caught.value.job_id


def test_headers_of_the_caller(scripted: Scripted) -> None:
    """
    Header fields that a client is given go with each request.
    """
    scripted.answers = [(200, {}, RUN)]

    PipelinesClient(scripted.url, headers={"Authorization": "Bearer x"}).call_pipeline("echo")

    assert "Bearer x" == scripted.asked[0][2]["authorization"]


def test_importing_the_client_loads_no_server() -> None:
    """
    The client comes without Flask, SQLAlchemy, pluggy, and without httpx until it is used.
    """
    code = (
        "import sys; import chariots_core.client; "
        "print(sorted({'flask', 'sqlalchemy', 'pluggy', 'httpx', 'werkzeug'} & set(sys.modules)))"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == said.stdout.strip()


def test_statuses_are_the_five() -> None:
    """
    A client knows the five states of a job by the names on the wire.
    """
    assert {"queued", "running", "done", "failed", "deferred"} == {s.value for s in JobStatus}
