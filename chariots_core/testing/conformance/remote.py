"""
Another process of the kit's app, which does what a test tells it: never the test's own.

Run as ``python -m chariots_core.testing.conformance.remote``: it reads requests
and writes answers, a line of JSON each.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any

import attrs

from chariots_core.jobs import NewJob, new_job_id
from chariots_core.testing.conformance.config import KitConfig
from chariots_core.testing.conformance.processes import Process

if TYPE_CHECKING:
    from chariots_core.jobs import JobRecord
    from chariots_core.testing.conformance.apps import KitApp


def as_plain(record: JobRecord) -> dict[str, Any]:
    """
    A record as JSON values, so that records of two processes can be compared.
    """
    return attrs.asdict(record, value_serializer=_plain)


class RemoteFailure(Exception):
    """
    What the other process raised.

    Attributes:
        type: the name of its class.
    """

    def __init__(self, type: str, message: str) -> None:
        super().__init__(f"{type}: {message}")
        self.type = type


class Remote(Process):
    """
    Another process of the app.
    """

    _unread = b""

    def send(self, call: str, **arguments: Any) -> None:
        """
        Ask for *call*, without waiting for the answer.
        """
        assert self.popen.stdin is not None
        self.popen.stdin.write(json.dumps({"call": call, **arguments}).encode() + b"\n")
        self.popen.stdin.flush()

    def receive(self, timeout: float = 30.0) -> Any:
        """
        The answer to the oldest request that has none yet.

        Raises:
            RemoteFailure: the call raised.
            AssertionError: there is no answer in time.
        """
        answer = json.loads(self._line(time.monotonic() + timeout))
        if "error" in answer:
            raise RemoteFailure(answer["error"], answer["message"])
        return answer["value"]

    def call(self, call: str, **arguments: Any) -> Any:
        """
        Ask, and wait for the answer.
        """
        self.send(call, **arguments)
        return self.receive()

    def _line(self, end: float) -> bytes:
        # No buffered reader: it could hold an answer that select does not see.
        assert self.popen.stdout is not None
        while b"\n" not in self._unread:
            left = max(0.0, end - time.monotonic())
            ready, _, _ = select.select([self.popen.stdout], [], [], left)
            read = os.read(self.popen.stdout.fileno(), 1 << 16) if ready else b""
            if not read:
                raise AssertionError(f"{self.name} gives no answer; its log: {self.output()}")
            self._unread += read
        line, _, self._unread = self._unread.partition(b"\n")
        return line


@attrs.define
class Desk:
    """
    The other end: the calls that a remote process answers.
    """

    app: KitApp

    def ping(self) -> str:
        self.app.job_store.ping()
        return self.app.name

    def submit(self, pipeline: str, value: Any, job_id: str = "") -> Any:
        pool = self.app.workers
        text, job_id = json.dumps(value), job_id or new_job_id()
        job = NewJob(id=job_id, pipeline=pipeline, backend=pool.name, input_json=text)
        return as_plain(pool.submit_job(job))

    def submit_from_children(self, children: int) -> list[str]:
        """
        Fork, and submit a number from each child; the ids, in the order of the numbers.
        """
        job_ids = [new_job_id() for _ in range(children)]
        pids = []
        for number, job_id in enumerate(job_ids):
            pids.append(os.fork())
            if not pids[-1]:
                # Nothing of the parent's is to be done at this end.
                try:
                    self.submit("echo", number, job_id)
                    os._exit(0)
                except BaseException:  # noqa: BLE001 - its log has the rest
                    traceback.print_exc()
                    os._exit(1)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        return [job_id for job_id, code in zip(job_ids, codes, strict=True) if code == 0]

    def fetch(self, job_id: str) -> Any:
        return as_plain(self.app.fetch_job(job_id))

    def tick_for(self, seconds: float) -> int:
        """
        Tick without a pause, and tell how often.
        """
        ticks, end = 0, time.monotonic() + seconds
        while not ticks or time.monotonic() < end:
            self.app.tick()
            ticks += 1
        return ticks

    def workers(self) -> list[str]:
        return [worker.id for worker in self.app.job_store.workers()]

    def spawn_worker(self) -> int:
        handle = self.app.workers.spawn_worker()
        handle.wait_ready()
        return handle.pid


def serve(desk: Desk, requests: IO[str], answer: Callable[[Mapping[str, Any]], None]) -> None:
    """
    Answer every request until there are no more.
    """
    for line in requests:
        request = json.loads(line)
        try:
            answer({"value": getattr(desk, request.pop("call"))(**request)})
        except Exception as error:  # noqa: BLE001  it is told to the test, which decides
            answer({"error": type(error).__name__, "message": str(error)})


def _plain(_: type, __: Any, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return getattr(value, "value", value)


def main(build: Callable[[KitConfig], KitApp] | None = None) -> None:
    """
    Serve the test that started this process.

    Args:
        build: makes the app; by default the kit's own.
    """
    from chariots_core.testing.conformance.apps import build_app

    # Whatever the app prints goes to the log: this stream is for answers.
    answers, sys.stdout = sys.stdout, sys.stderr

    def answer(value: Mapping[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    serve(Desk((build or build_app)(KitConfig.from_environment())), sys.stdin, answer)


if __name__ == "__main__":
    main()
