"""
Waiting for a job: its time-out bounds all of it, whatever the server does.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from chariots_core import errors
from chariots_core.client import (
    AsyncPipelinesClient,
    PipelineResponse,
    PipelinesClient,
    Reply,
    Request,
    RetryPolicy,
    ServerTimeout,
    ServerUnreachable,
    Timeouts,
    retries,
)
from chariots_core.client.transport import _timeout
from tests.client.conftest import Scripted
from tests.support import free_port

AWAY = json.dumps(
    {"type": "https://x/problems/backend-unavailable", "status": 503, "detail": "away"}
).encode()
QUEUED = json.dumps({"id": "abc", "status": "queued"}).encode()
DONE = json.dumps({"id": "abc", "status": "done", "output": 7}).encode()

#: Seconds that a slow machine may add before a bound is taken for broken.
SLACK = 4.0

Wait = Callable[..., PipelineResponse]


def wait(url: str, timeout: float | None = None, **options: Any) -> PipelineResponse:
    """
    Wait for a job.
    """
    with PipelinesClient(url, **options) as client:
        return client.wait_for_job("abc", timeout)


def wait_in_a_coroutine(url: str, timeout: float | None = None, **options: Any) -> PipelineResponse:
    """
    The same by the client for coroutines.
    """

    async def waited() -> PipelineResponse:
        async with AsyncPipelinesClient(url, **options) as client:
            return await client.wait_for_job("abc", timeout)

    return asyncio.run(waited())


both = pytest.mark.parametrize("wait", [wait, wait_in_a_coroutine])


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The tests' servers are on this machine.
    """
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(name="silent")
def _silent() -> Iterator[str]:
    """
    The address of what takes connections and says nothing.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(name="unhurried")
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The last look has time for the answer of a busy machine.
    """
    monkeypatch.setattr(retries, "_LAST_CHANCE", 10.0)


@both
@pytest.mark.parametrize("answer", [10.0, 0.1])
def test_a_silent_server_does_not_prolong_it(silent: str, wait: Wait, answer: float) -> None:
    """
    However patient the client is with an answer, and however often it asks again: as the
    time ends, so does the waiting, as a WaitTimeout that names the job.
    """
    options = {"timeouts": Timeouts(answer=answer), "retries": RetryPolicy(attempts=1000)}
    began = time.monotonic()
    with pytest.raises(errors.WaitTimeout, match="abc") as caught:
        wait(silent, 0.5, **options)

    assert 0.5 <= time.monotonic() - began < 0.5 + SLACK
    assert "abc" == caught.value.job_id
    assert isinstance(caught.value.__cause__, ServerTimeout)


@both
def test_a_silent_server_is_named_while_there_is_time(silent: str, wait: Wait) -> None:
    """
    A server that gives no answer long before the time ends is what is raised.
    """
    options = {"timeouts": Timeouts(answer=0.1), "retries": RetryPolicy(attempts=2)}

    with pytest.raises(ServerTimeout):
        wait(silent, 60.0, **options)


@both
@pytest.mark.usefixtures("unhurried")
def test_a_refusal_is_not_repeated_past_the_end(scripted: Scripted, wait: Wait) -> None:
    """
    A server that wants to be asked later than the time ends is asked as it ends, and
    no more.
    """
    scripted.answers = [(503, {"Retry-After": "5"}, AWAY)] * 9

    began = time.monotonic()
    with pytest.raises(errors.WaitTimeout, match="away") as caught:
        wait(scripted.url, 1.0, retries=RetryPolicy(attempts=9))

    assert 1.0 <= time.monotonic() - began < 4.0
    assert 2 == len(scripted.asked)
    assert isinstance(caught.value.__cause__, errors.BackendUnavailable)


@both
def test_nobody_there_until_the_end(wait: Wait) -> None:
    """
    Where nothing listens for all of the time, it is a WaitTimeout by that.
    """
    with pytest.raises(errors.WaitTimeout, match="is the server running") as caught:
        wait(f"http://127.0.0.1:{free_port()}", 0.3, retries=RetryPolicy(attempts=100))

    assert isinstance(caught.value.__cause__, ServerUnreachable)


@both
@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("timeout", [0.0, -1.0, 0.001])
def test_without_time_there_is_one_look(scripted: Scripted, wait: Wait, timeout: float) -> None:
    """
    A job that is done is found even where there is no time to wait.
    """
    scripted.answers = [(200, {}, DONE)]

    assert 7 == wait(scripted.url, timeout).value


@both
@pytest.mark.usefixtures("unhurried")
def test_the_last_look_is_as_the_time_ends(scripted: Scripted, wait: Wait) -> None:
    """
    A job that is not done is a WaitTimeout that says what it is, and not before the end.
    """
    scripted.answers = [(200, {}, QUEUED)] * 100

    began = time.monotonic()
    with pytest.raises(errors.WaitTimeout, match="it is queued"):
        wait(scripted.url, 0.2)

    assert 0.2 <= time.monotonic() - began < 0.2 + SLACK


@both
def test_without_a_bound_the_client_is_as_patient_as_it_is(silent: str, wait: Wait) -> None:
    """
    Without a time-out of its own, a wait meets those of the client.
    """
    with pytest.raises(ServerTimeout):
        wait(silent, timeouts=Timeouts(answer=0.1), retries=RetryPolicy(attempts=1))


@attrs.define
class Recording:
    """
    Remembers what each request was given to be answered.
    """

    bounds: list[float | None] = attrs.field(factory=list)

    def send(self, request: Request) -> Reply:
        """
        Answer that the job is queued.
        """
        self.bounds.append(request.timeout)
        return Reply(url="http://x", status=200, headers={}, content=QUEUED)

    def close(self) -> None:
        """
        Nothing to give back.
        """


def test_each_look_has_what_is_left() -> None:
    """
    Each look is given what is left of the time; the last one, a quarter of a second.
    """
    transport = Recording()
    client = PipelinesClient(transport=transport)
    with pytest.raises(errors.WaitTimeout):
        client.wait_for_job("abc", 0.4)

    bounds = [bound for bound in transport.bounds if bound is not None]
    assert len(transport.bounds) == len(bounds)
    assert sorted(bounds, reverse=True) == bounds
    assert 0.4 >= bounds[0] > bounds[-1] == 0.25


@pytest.mark.parametrize(
    ("own", "timeout", "expected"),
    [(3.0, 0.5, 0.5), (3.0, 7.0, 3.0), (3.0, None, 3.0), (None, 0.5, 0.5), (None, None, None)],
)
def test_the_shorter_bound_holds(
    own: float | None, timeout: float | None, expected: float | None
) -> None:
    """
    Of the client's own time-outs and that of a request, the shorter ones hold.
    """
    bounds = _timeout(
        Timeouts(connect=5.0, answer=own), Request(method="GET", path="/", timeout=timeout)
    )

    assert (expected, min(5.0, timeout or 5.0)) == (bounds.read, bounds.connect)
