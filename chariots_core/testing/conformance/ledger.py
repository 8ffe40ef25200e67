"""
What really ran, as the ops themselves wrote it down.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

#: How long an op waits for its gate: longer than any test, shorter than for ever.
GATE_TIMEOUT: Final = 120.0


@attrs.frozen(kw_only=True)
class Entry:
    """
    One line of a ledger.

    Attributes:
        event: ``"start"`` or ``"finish"``.
        pid: the process that executed the op.
        note: anything the op wrote with it.
    """

    event: str
    pid: int
    note: Any = None


@attrs.frozen
class Ledger:
    """
    A file to which executions append a line when they start and when they finish.

    Attributes:
        path: the file.
    """

    path: Path

    def write(self, event: str, note: Any = None) -> None:
        """
        Append one line, whole, whoever else appends.
        """
        line = json.dumps({"event": event, "pid": os.getpid(), "note": note}) + "\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def entries(self) -> Sequence[Entry]:
        """
        All lines, in order.
        """
        if not self.path.exists():
            return []
        return [Entry(**json.loads(line)) for line in self.path.read_text().splitlines()]

    def starts(self) -> Sequence[Entry]:
        """
        The executions that started.
        """
        return [entry for entry in self.entries() if entry.event == "start"]

    def finishes(self) -> Sequence[Entry]:
        """
        The executions that reached their end.
        """
        return [entry for entry in self.entries() if entry.event == "finish"]


@attrs.frozen
class Gate:
    """
    A folder that keeps executions waiting until a test lets them pass.

    Attributes:
        path: the folder.
    """

    path: Path

    def open(self, pid: int | None = None) -> None:
        """
        Let all pass, now and later; or only the execution in process *pid*.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / ("open" if pid is None else str(pid))).touch()

    def let_pass(self, seconds: float) -> None:
        """
        Keep all waiting for *seconds*, and let them pass for a moment at the end.
        """
        (self.path / "open").unlink(missing_ok=True)
        time.sleep(seconds)
        self.open()

    def pass_through(self) -> None:
        """
        Wait until the test lets this process pass.

        Raises:
            TimeoutError: it never does.
        """
        end = time.monotonic() + GATE_TIMEOUT
        mine = self.path / str(os.getpid())
        everyone = self.path / "open"
        while not (mine.exists() or everyone.exists()):
            if time.monotonic() > end:
                raise TimeoutError(f"the gate {str(self.path)!r} was never opened")
            time.sleep(0.01)
