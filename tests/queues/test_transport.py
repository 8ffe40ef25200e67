"""
What a broker has to say, and what it may leave out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from chariots_core.queues import Consumer, Message, QueueOptions, QueuePool, Transport
from chariots_core.workers import RunnerSettings, SubmitRequest, WorkerSession, WorkerSettings
from chariots_core.workers.signals import StopSignals
from tests.local.app import PlainApp


class Taker(Consumer):
    """
    Takes messages out of a deque, until there is none: then its worker is to stop.
    """

    def __init__(self, messages: deque[str], signals: StopSignals) -> None:
        self.messages = messages
        self.signals = signals

    def take(self, session: WorkerSession, seconds: float = 1.0) -> Message | None:
        if self.messages:
            return Message(self.messages.popleft(), "default")
        self.signals.request()
        return None

    def put_back(self, message: Message) -> None:
        self.messages.appendleft(message.id)

    def drop(self, message: Message) -> None: ...


class Memory(Transport):
    """
    The two methods that a broker must have.
    """

    def __init__(self) -> None:
        self.messages: deque[str] = deque()
        self.signals = StopSignals()

    def send(self, request: SubmitRequest) -> None:
        self.messages.append(request.message_id)

    @contextmanager
    def consumer(self, app: str, queues: Sequence[str]) -> Iterator[Taker]:
        yield Taker(self.messages, self.signals)


def test_two_methods_make_a_transport(tmp_path: Path) -> None:
    """
    A transport that says how to send and to consume runs jobs of a pool.
    """
    transport = Memory()
    pool = QueuePool(transport, QueueOptions(job_store=f"sqlite:///{tmp_path}/jobs.db"))
    app = PlainApp(worker_pool=pool)
    transport.messages.append("no message of ours")
    job_id = app.pool.execute_pipeline_async("echo", "5")

    # Other tests of the process may have left a thread, beside which nothing is forked.
    settings = WorkerSettings(runner=RunnerSettings(isolation="thread"))
    with WorkerSession(app.pool, settings=settings, signals=transport.signals) as session:
        app.pool.run_worker(session)

    assert 5 == app.pool.fetch_job(job_id).value
    app.pool.close()


def test_half_a_transport() -> None:
    """
    One that does not say how to consume cannot be made.
    """

    class Half(Transport):
        def send(self, request: SubmitRequest) -> None: ...

    with pytest.raises(TypeError, match="consumer"):
        Half()  # type: ignore[abstract]
