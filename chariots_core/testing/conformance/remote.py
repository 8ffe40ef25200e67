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
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import attrs

from chariots_core.jobs import NewJob, new_job_id
from chariots_core.testing.conformance.config import KitConfig
from chariots_core.testing.conformance.processes import Process
from chariots_core.testing.conformance.self_watch import Watch, holdings
from chariots_core.workers.plugins import PluginManager

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
    watch: Watch = attrs.field(factory=Watch)

    def ping(self) -> str:
        self.app.job_store.ping()
        return self.app.name

    def submit(self, pipeline: str, value: Any, job_id: str = "") -> Any:
        pool = self.app.workers
        text, job_id = json.dumps(value), job_id or new_job_id()
        job = NewJob(id=job_id, pipeline=pipeline, backend=pool.name, input_json=text)
        return as_plain(pool.submit_job(job))

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

    def loaded(self, names: Sequence[str]) -> list[str]:
        """
        Which of some modules this process has imported.
        """
        return [name for name in names if name in sys.modules]

    def making(self) -> dict[str, Any]:
        """
        What this process opened as its app was made, and what it holds since then.
        """
        return {"events": self.watch.events, **holdings()}

    def facts(self) -> dict[str, Any]:
        """
        What the backend says of itself.
        """
        info = PluginManager().use_backend(self.app.config.worker_pool["backend"])
        return attrs.asdict(info, value_serializer=_plain)

    def reopen(self, times: int) -> list[dict[str, int]]:
        """
        Use the app and close it twice, so often; what was held after each time.
        """
        held = []
        for number in range(times):
            self.submit("echo", number)
            self.app.close()
            self.app.close()
            held.append(holdings())
        return held

    def submit_in_children(self, children: int, jobs: int) -> list[list[str]]:
        """
        Fork children that all submit and look up at once; the ids of each one's jobs.
        """
        forked = [_fork(partial(self._submit_some, number, jobs)) for number in range(children)]
        return [_collect(pid, reader) for pid, reader in forked]

    def _submit_some(self, number: int, jobs: int) -> list[str]:
        ids = [str(self.submit("echo", [number, job])["id"]) for job in range(jobs)]
        return [str(self.fetch(job_id)["id"]) for job_id in ids]


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


def _fork(call: Callable[[], list[str]]) -> tuple[int, int]:
    """
    Start a child that writes what *call* returns; its id, and where it is to be read.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    try:
        os.write(writer, json.dumps(call()).encode())
    except BaseException:  # noqa: BLE001 - nothing of this process may go on in the child
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _collect(pid: int, reader: int) -> list[str]:
    with os.fdopen(reader, "rb") as stream:
        text = stream.read()
    _, status = os.waitpid(pid, 0)
    if status:
        raise ChildProcessError(f"child {pid} ended with status {status}; see the log")
    found: list[str] = json.loads(text)
    return found


def _plain(_: type, __: Any, value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
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

    config = KitConfig.from_environment()
    with Watch() as watch:
        app = (build or build_app)(config)
    serve(Desk(app, watch), sys.stdin, answer)


if __name__ == "__main__":
    main()
