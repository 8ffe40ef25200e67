"""
A served app of real processes, for tests.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx

from tests.support import ROOT, process_alive, wait_until

PROGRAM = """
import sys
from chariots_core.errors import ChariotsError
from chariots_core.server.serving import serve
try:
    sys.exit(serve(sys.argv[1], **eval(sys.argv[2])))
except ChariotsError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


class Served:
    """
    ``serve`` in a process of its own.
    """

    def __init__(
        self, folder: Path, *, app: str = "tests.served_app:app", **options: object
    ) -> None:
        options = {"port": 0, "processes": 2, **options}
        self.log = folder / f"serve-{time.monotonic_ns()}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, app, repr(options)],
                cwd=ROOT,
                env={**os.environ, "SERVED_APP_FOLDER": str(folder)},
                stdout=output,
                stderr=output,
            )
        self.url = ""

    def wait_ready(self) -> Self:
        """
        Return once it says where it is.
        """

        def said() -> str | None:
            assert self.process.poll() is None, self.output
            found = re.search(r"serving \S+ on (http://\S+)", self.output)
            return found[1] if found else None

        self.url = wait_until(said, timeout=30.0, message=lambda: self.output) or ""
        return self

    @property
    def output(self) -> str:
        """
        What it has printed.
        """
        return self.log.read_text(errors="replace")

    def get(self, path: str) -> httpx.Response:
        """
        GET, over a connection of its own.
        """
        return httpx.get(self.url + path, trust_env=False, timeout=20.0)

    def post(self, path: str, body: object) -> httpx.Response:
        """
        POST, over a connection of its own.
        """
        return httpx.post(self.url + path, json=body, trust_env=False, timeout=20.0)

    def family(self) -> list[int]:
        """
        Its process and all that came from it.
        """
        return [self.process.pid, *descendants(self.process.pid)]

    def stop(self, number: int = signal.SIGTERM, timeout: float = 20.0) -> int:
        """
        Ask it to stop; its exit code.
        """
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def __enter__(self) -> Self:
        return self.wait_ready()

    def __exit__(self, *_: object) -> None:
        family = self.family()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in family:
            if process_alive(pid):
                os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """
    The children of a process, and theirs.
    """
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = list(parents.get(pid, ()))
    for child in found:
        found.extend(parents.get(child, ()))
    return found


def children(pid: int) -> list[int]:
    """
    The children of a process, and not theirs.
    """
    return [child for child in descendants(pid) if _parent(child) == pid]


def signal_thread(pid: int, thread: int, number: int) -> None:
    """
    Send a signal to one thread of another process.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.tgkill(pid, thread, number):
        raise OSError(ctypes.get_errno(), f"no signal to thread {thread} of process {pid}")


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
