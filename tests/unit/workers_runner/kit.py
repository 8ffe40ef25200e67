"""
A small real app for the tests of the runner: functions as pipelines.

Module level, so that a spawned child can import it: ``SPEC`` names it.
"""

from __future__ import annotations

import ctypes
import json
import logging
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from chariots_core.errors import NotJSONError, StoreUnavailable, VersionError
from chariots_core.jobs.record import JobRecord, Progress
from chariots_core.jobs.store import JobStore
from chariots_core.strict_json import encode
from chariots_core.workers.contracts import JobInput, JobOutput

SPEC = "tests.unit.workers_runner.kit:app"
OPENING_SPEC = "tests.unit.workers_runner.kit:opening_app"

PipelineFunction = Callable[[Any, JobInput], Any]


class FunctionApp:
    """
    An app whose pipelines are functions of the input and the job.
    """

    def __init__(self, pipelines: Mapping[str, PipelineFunction], name: str = "kit") -> None:
        self.name = name
        self.pipelines = dict(pipelines)
        self.store: JobStore | None = None
        self.published: list[str] = []
        self.dispatched: list[str] = []
        self.emitted: list[tuple[str, str]] = []
        self.elsewhere: set[str] = set()
        self.publish_error: Exception | None = None

    @property
    def job_store(self) -> JobStore:
        assert self.store is not None
        return self.store

    @property
    def pipeline_names(self) -> frozenset[str]:
        return frozenset(self.pipelines)

    def execute_job(self, job: JobInput) -> JobOutput:
        if job.pipeline == "version_conflict":
            raise VersionError("op 'b' was never validated with 'a': train 'b' again")
        if job.pipeline == "op_store_down":
            raise StoreUnavailable("the op store does not answer")
        value = None if job.input_json is None else json.loads(job.input_json)
        try:
            result = self.pipelines[job.pipeline](value, job)
        except BaseException as error:
            error.__chariots_node__ = f"{job.pipeline}_node"  # type: ignore[attr-defined]
            raise
        manifest = json.dumps({"job": job.job_id}) if job.pipeline.startswith("train") else None
        return JobOutput(
            value_json=encode(result).decode(), versions={"n": "1"}, manifest_json=manifest
        )

    def publish(self, record: JobRecord) -> None:
        if self.publish_error is not None:
            raise self.publish_error
        self.published.append(record.id)

    def report_presence(self, kind: str) -> None: ...

    def withdraw_presence(self) -> None: ...

    def is_for_other_code(self, record: JobRecord) -> bool:
        return record.code is not None and record.code != "here"

    def is_served_elsewhere(self, pipeline: str) -> bool:
        return pipeline in self.elsewhere

    def dispatch(self, record: JobRecord) -> None:
        self.dispatched.append(record.id)

    def emit(self, event_name: str, record: JobRecord) -> None:
        self.emitted.append((event_name, record.id))


class OpeningApp(FunctionApp):
    """
    One that can load ahead, and notes where it did.
    """

    def __init__(self) -> None:
        super().__init__({**PIPELINES, "opened": lambda *_: self.opened_in})
        self.opened_in: list[int] = []
        self.open_error: Exception | None = None

    def open(self) -> None:
        self.opened_in.append(os.getpid())
        if self.open_error is not None:
            raise self.open_error


class OwnError(Exception):
    """
    An exception of a user's own.
    """


class StubbornError(Exception):
    """
    One that cannot be shown.
    """

    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class OwnBaseError(BaseException):
    """
    One that ``except Exception`` does not catch.
    """


def fail(value: Any, job: JobInput) -> NoReturn:
    raise OwnError(value)


def fail_until(value: int, job: JobInput) -> int:
    if job.attempt < value:
        raise OwnError(f"attempt {job.attempt}")
    return job.attempt


def suicide_until(value: int, job: JobInput) -> int:
    if job.attempt < value:
        os.kill(os.getpid(), signal.SIGKILL)
    return job.attempt


def raise_base(value: str, job: JobInput) -> NoReturn:
    kinds: dict[str, BaseException] = {
        "SystemExit": SystemExit("leaving"),
        "KeyboardInterrupt": KeyboardInterrupt(),
        "OwnBaseError": OwnBaseError("from below"),
        "StubbornError": StubbornError(),
        "MemoryError": MemoryError(),
        "not_json_inside": NotJSONError("an op's own", path="$.a"),
        "huge": OwnError("x" * 10_000_000),
        "odd_text": OwnError("nul \0, surrogate \ud800, ü"),
    }
    raise kinds[value]


def recurse(value: Any, job: JobInput) -> Any:
    return recurse(value, job)


def too_much_memory(value: Any, job: JobInput) -> int:
    return len(bytearray(1 << 62))


def leave(value: int, job: JobInput) -> NoReturn:
    os._exit(value)


def kill_self(value: int, job: JobInput) -> None:
    os.kill(os.getpid(), value)
    time.sleep(60)


def segfault(value: Any, job: JobInput) -> None:
    ctypes.string_at(0)


def say(value: Mapping[str, str], job: JobInput) -> None:
    if "out" in value:
        print(value["out"])
    if "err" in value:
        print(value["err"], file=sys.stderr)
    if "c" in value:
        ctypes.CDLL(None).printf(value["c"].encode())
    if "program" in value:
        subprocess.run(["echo", value["program"]], check=True)
    if "log" in value:
        logging.getLogger("kit").warning(value["log"])
    if "then" in value:
        raise OwnError(value["then"])


def say_and_sleep(value: float, job: JobInput) -> None:
    print("before the sleep")
    time.sleep(value)


def shout(value: int, job: JobInput) -> str:
    line = b"x" * 99 + b"\n"
    block = line * 1000
    os.write(1, b"the beginning\n")
    for _ in range(value // len(block)):
        os.write(1, block)
    os.write(1, b"the end\n")
    return "done"


def not_json(value: str, job: JobInput) -> Any:
    circle: list[Any] = []
    circle.append(circle)
    return {"nan": math.nan, "inf": [math.inf], "object": object(), "circular": circle}[value]


def sleep(value: float, job: JobInput) -> str:
    time.sleep(value)
    return "slept"


def mark_and_sleep(value: Mapping[str, Any], job: JobInput) -> str:
    """
    Append the pid to a file, then sleep: the test sees that the op has begun.
    """
    ledger(value["path"], job)
    time.sleep(value["seconds"])
    return "slept"


def ledger(value: str, job: JobInput) -> int:
    with Path(value).open("a") as file:
        file.write(f"{os.getpid()}\n")
    return os.getpid()


def wait_for_gate(value: list[str], job: JobInput) -> str:
    """
    Note the pid, and wait for another file.
    """
    ledger(value[0], job)
    while not Path(value[1]).exists():
        time.sleep(0.01)
    return "opened"


def hold_gil(value: Mapping[str, Any], job: JobInput) -> str:
    """
    Sleep in C without giving the GIL up.
    """
    ledger(value["path"], job)
    ctypes.PyDLL(None).usleep(int(value["seconds"] * 1e6))
    return "held"


def spawn_program(value: Mapping[str, Any], job: JobInput) -> int:
    """
    Start a program that outlives the op, holding its output.
    """
    program = subprocess.Popen(["sleep", "300"])
    program.returncode = 0
    print("started")
    time.sleep(value.get("seconds", 0))
    return program.pid


def start_flood(value: Any, job: JobInput) -> int:
    """
    Start a program that prints without end.
    """
    program = subprocess.Popen(["yes"])
    program.returncode = 0
    return program.pid


def fork_inside(value: Any, job: JobInput) -> str:
    """
    Fork, and let the copy run on into the runner's own code.
    """
    pid = os.fork()
    if pid == 0:
        return "copy"
    os.waitpid(pid, 0)
    return "original"


def close_everything(value: Any, job: JobInput) -> None:
    os.closerange(0, 1000)
    time.sleep(60)


def report(value: list[float], job: JobInput) -> str:
    for done in value:
        time.sleep(0.1)
        job.report(Progress(done=done, total=10, node="fit"))
    return "reported"


def report_much(value: int, job: JobInput) -> str:
    for done in range(value):
        job.report(Progress(done=done, total=value))
    return "reported"


def report_too_late(value: Any, job: JobInput) -> str:
    """
    Leave a thread that reports for ever.
    """

    def go_on() -> None:
        while True:
            job.report(Progress(done=666))
            time.sleep(0.001)

    threading.Thread(target=go_on, daemon=True).start()
    return "left"


def facts(value: Any, job: JobInput) -> dict[str, Any]:
    numpy_random = sys.modules.get("numpy.random")
    return {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "group": os.getpgrp(),
        "session": os.getsid(0),
        "random": random.random(),
        "numpy": None if numpy_random is None else float(numpy_random.random()),
        "stdin": sys.stdin.read(),
        "threads": threading.active_count(),
        "fds": [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()],
        "argv": sys.argv,
    }


def pid(value: Any, job: JobInput) -> int:
    return os.getpid()


def pollute(value: str, job: JobInput) -> dict[str, Any]:
    before = {"env": os.environ.get("KIT_LEAK"), "cwd": str(Path.cwd())}
    os.environ["KIT_LEAK"] = value
    os.chdir("/")
    return before


def grow(value: int, job: JobInput) -> int:
    grown.append(bytearray(os.urandom(1)) * (value << 20))
    return os.getpid()


grown: list[bytearray] = []


def run_program(value: list[str], job: JobInput) -> int:
    """
    Start a program, ask it to stop, and give its return code.
    """
    program = subprocess.Popen(value)
    program.terminate()
    return program.wait(10)


def stop_a_fork(value: Any, job: JobInput) -> int:
    """
    Ask a copy of this process to stop, as `multiprocessing` does.
    """
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    os.kill(pid, signal.SIGTERM)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def shell_and_sleep(value: str, job: JobInput) -> None:
    """
    Start a program of a program, note the pid of the inner one, and sleep.
    """
    subprocess.run(["sh", "-c", f"sleep 300 & echo $! > {value}; wait"], check=False)


def echo(value: Any, job: JobInput) -> Any:
    return value


def nothing(value: Any, job: JobInput) -> None:
    return None


PIPELINES: dict[str, PipelineFunction] = {
    function.__name__: function
    for function in (
        close_everything, echo, facts, fail, fail_until, fork_inside, grow, hold_gil, kill_self,
        leave, ledger, mark_and_sleep, not_json, nothing, pid, pollute, raise_base, recurse, report,
        report_much, report_too_late, run_program, say, say_and_sleep, segfault, shell_and_sleep, shout, sleep,
        spawn_program, start_flood, stop_a_fork,
        suicide_until, too_much_memory, wait_for_gate,
    )
}  # fmt: skip
PIPELINES |= {
    "train": echo,
    "train_slowly": mark_and_sleep,
    "version_conflict": nothing,
    "op_store_down": nothing,
}

#: What a spawned child imports.
app = FunctionApp(PIPELINES)
opening_app = OpeningApp()
