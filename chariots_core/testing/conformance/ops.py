"""
The kit's ops: each does one thing that a worker has to survive or to tell.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from chariots_core import progress
from chariots_core.pipelines import BaseOp, LoadableOp
from chariots_core.testing.conformance.ledger import GATE_TIMEOUT, Gate, Ledger

#: What a job may leave behind in its process: see `Probe`.
LEFT_BEHIND: Final[list[str]] = []


class Echo(BaseOp):
    """
    Returns its input.
    """

    def execute(self, value: Any) -> Any:
        return value


class Newcomer(Echo):
    """
    An echo that older deployments do not know.
    """


class Mutate(BaseOp):
    """
    Changes the list it was given, in place, and returns it.
    """

    def execute(self, value: list[Any]) -> list[Any]:
        value.append("changed")
        return value


class Write(BaseOp):
    """
    Writes its start and its finish to a ledger, and waits for a gate in between.
    """

    def execute(self, value: Mapping[str, Any]) -> int:
        return _recorded(value)


class Train(LoadableOp):
    """
    Learns one more thing in each execution, between its start and its finish.
    """

    lessons = 0

    @property
    def trains(self) -> bool:
        return True

    def execute(self, value: Mapping[str, Any]) -> int:
        _recorded(value)
        self.lessons += 1
        self.mark_trained()
        return self.lessons

    def serialize(self) -> bytes:
        return str(self.lessons).encode()

    def load(self, serialized_object: bytes) -> None:
        self.lessons = int(serialized_object)


class Steps(BaseOp):
    """
    Reports each of its steps, and waits for the gate before the last one.
    """

    def execute(self, value: Mapping[str, Any]) -> int:
        steps = int(value["steps"])
        for step in range(steps):
            progress.report(step, total=steps, message=f"step {step}")
        _recorded(value)
        progress.report(steps, total=steps)
        return steps


class Sleep(BaseOp):
    """
    Sleeps for the seconds it is given.
    """

    def execute(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds


class GilHog(BaseOp):
    """
    Holds the interpreter's lock for the seconds it is given, in one call of C.
    """

    def execute(self, value: Mapping[str, Any]) -> float:
        _ledger(value).write("start")
        # PyDLL keeps the lock while the function runs, as a badly written extension does.
        ctypes.PyDLL(None).usleep(ctypes.c_uint(int(value["seconds"] * 1e6)))
        _ledger(value).write("finish")
        return float(value["seconds"])


class Fail(BaseOp):
    """
    Raises, from some depth.
    """

    def execute(self, value: Any) -> Any:
        self._deeper(value, 3)

    def _deeper(self, value: Any, levels: int) -> None:
        if not levels:
            raise ValueError(f"the kit refuses {value!r}")
        self._deeper(value, levels - 1)


class Say(BaseOp):
    """
    Prints a text, given as numbers of characters, and then raises it.
    """

    def execute(self, characters: list[int]) -> Any:
        text = "".join(chr(number) for number in characters)
        print(text)  # noqa: T201  the point of this op
        raise ValueError(text)


class Unspeakable(BaseOp):
    """
    Raises an error that cannot tell what it is.
    """

    def execute(self, value: Any) -> Any:
        class MuteError(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no text")

            __repr__ = __str__

        raise MuteError(value)


class Crash(BaseOp):
    """
    Ends its process as a broken extension does.
    """

    def execute(self, _: Any) -> Any:
        ctypes.string_at(0)


class UnheardOf(BaseException):
    """
    What no ``except Exception`` catches.
    """


class Leave(BaseOp):
    """
    Leaves its process, or tries to, in the way it is told.
    """

    def execute(self, way: str) -> Any:
        match way:
            case "sys.exit":
                sys.exit(3)
            case "os._exit":
                os._exit(3)
            case "keyboard_interrupt":
                raise KeyboardInterrupt
            case "base_exception":
                raise UnheardOf("not an Exception")
        raise ValueError(f"no way to leave is called {way!r}")


class Suicide(BaseOp):
    """
    Kills its own process with SIGKILL, every time.
    """

    def execute(self, value: Mapping[str, Any]) -> Any:
        _ledger(value).write("start")
        _die()


class FlakyKill(BaseOp):
    """
    Kills its own process in its first executions, and then succeeds.
    """

    def execute(self, value: Mapping[str, Any]) -> int:
        ledger = _ledger(value)
        ledger.write("start")
        starts = len(ledger.starts())
        if starts <= value["kills"]:
            _die()
        ledger.write("finish")
        return starts


class KillParent(BaseOp):
    """
    Kills the process that supervises it.
    """

    def execute(self, value: Mapping[str, Any]) -> Any:
        _ledger(value).write("start")
        # Without isolation the process above is the test itself.
        if os.getppid() == value["spare"]:
            raise PermissionError(f"process {value['spare']} is not to be killed")
        os.kill(os.getppid(), signal.SIGKILL)
        _gate(value).pass_through()


class Big(BaseOp):
    """
    Returns a text of the length it is given.
    """

    def execute(self, length: int) -> str:
        return "x" * length


class NotJSON(BaseOp):
    """
    Returns what strict JSON cannot carry.
    """

    def execute(self, kind: str) -> Any:
        circular: list[Any] = []
        circular.append(circular)
        return {
            "nan": {"scores": [0.5, float("nan")]},
            "infinity": float("inf"),
            "bytes": b"\x00",
            "set": {1, 2},
            "object": {"a": [object()]},
            "key": {1: "one"},
            "circular": circular,
            "surrogate": "half a pair: \ud800",
        }[kind]


class Chatty(BaseOp):
    """
    Prints as many characters as it is told, to both streams.
    """

    def execute(self, length: int) -> int:
        for _ in range(length // 80):
            print("o" * 79)  # noqa: T201  the point of this op
            print("e" * 79, file=sys.stderr)  # noqa: T201
        return length


class SpawnChild(BaseOp):
    """
    Starts a process of its own, and returns its id.
    """

    def execute(self, value: Mapping[str, Any]) -> int:
        child = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({GATE_TIMEOUT})"])
        _ledger(value).write("start", child.pid)
        _gate(value).pass_through()
        return child.pid


class Probe(BaseOp):
    """
    Tells what its process is like, and leaves traces for the next job to find.
    """

    def execute(self, mark: str) -> dict[str, Any]:
        found = {
            "pid": os.getpid(),
            "environment": os.environ.get("CHARIOTS_KIT_TRACE"),
            "folder": str(Path.cwd()),
            "globals": list(LEFT_BEHIND),
            "drawn": _draw(),
        }
        os.environ["CHARIOTS_KIT_TRACE"] = mark
        os.chdir("/")
        LEFT_BEHIND.append(mark)
        return found


def _draw() -> dict[str, float]:
    """
    A number from each generator whose state the process may have got by a fork.

    Python's own begins anew after a fork whatever a backend does; numpy's does not.
    """
    drawn = {"random": random.random()}
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        drawn["numpy.random"] = float(numpy_random.random())
    return drawn


def _recorded(value: Mapping[str, Any]) -> int:
    ledger = _ledger(value)
    ledger.write("start", value.get("note"))
    _gate(value).pass_through()
    time.sleep(value.get("nap", 0.0))
    ledger.write("finish", value.get("note"))
    return os.getpid()


def _ledger(value: Mapping[str, Any]) -> Ledger:
    return Ledger(Path(value["ledger"]))


def _gate(value: Mapping[str, Any]) -> Gate:
    return Gate(Path(value["gate"]))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
