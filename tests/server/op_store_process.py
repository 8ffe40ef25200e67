"""
``chariots op-store`` in a process of its own, for tests.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from chariots_core.testing.conformance.processes import halt
from tests.server.served import descendants
from tests.support import ROOT, free_port, port_open, process_alive, wait_until


class OpStoreProcess:
    """
    A server of the op store in *folder*; it can be started again on its port.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """
        What it has printed.
        """
        return (self.folder / "op-store.log").read_text(errors="replace")

    def start(self) -> None:
        """
        Return once connections are taken.
        """
        store = f"sqlite:///{self.folder}/op_store.db"
        with (self.folder / "op-store.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "chariots_core.cli", "op-store", f"--port={self.port}"],
                cwd=ROOT,
                env={
                    **os.environ,
                    "CHARIOTS_OP_STORE": store,
                    "CHARIOTS_OP_STORE_FILES": str(self.folder / "bytes"),
                },
                stdout=output,
                stderr=output,
            )
        self._process = process

        def answers() -> bool:
            assert process.poll() is None, self.log
            return port_open("127.0.0.1", self.port)

        wait_until(answers, 30.0, lambda: self.log)

    def signal_all(self, number: int) -> None:
        """
        Send a signal to the server and all that came from it.
        """
        assert self._process is not None
        reached = []
        for pid in [self._process.pid, *descendants(self._process.pid)]:
            with suppress(psutil.NoSuchProcess):
                if process_alive(pid):
                    reached.append(psutil.Process(pid))
        if number == signal.SIGSTOP:
            halt([process.pid for process in reached])
            return
        for process in reached:
            # A child may end by itself once its parent is gone.
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill(self) -> None:
        """
        End it without a word.
        """
        assert self._process is not None
        self.signal_all(signal.SIGKILL)
        self._process.wait(10.0)
        wait_until(lambda: not port_open("127.0.0.1", self.port), message="the end of the server")

    def stop(self) -> int:
        """
        Ask it to stop; its exit code.
        """
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(20.0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
