"""
A PostgreSQL cluster of a test's own, which it may stop and kill.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from chariots_core.testing.conformance.processes import halt
from tests.support import free_port

#: Where distributions put the programs of the server, which are not on PATH.
PLACES = ("/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt")


def find_programs() -> Path | None:
    """
    The folder with initdb and pg_ctl, the newest if there are several; None without one.
    """
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = [path.parent for place in PLACES for path in Path(place).glob("*/bin/initdb")]
    return max(found, default=None)


def unprivileged_user() -> str | None:
    """
    The user to run the server as: it refuses root. None: the one who asks.
    """
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


class PrivatePostgres:
    """
    One cluster on a free port of this machine, with a superuser ``chariots`` and no password.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._user = unprivileged_user()
        # Not below pytest's own folder, which only its user may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="chariots-postgres-"))
        self._port = free_port()
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        data = str(self._data)
        self._run("initdb", "-D", data, "-U", "chariots", "-A", "trust", "-E", "UTF8", "-N")
        self.start()

    @property
    def url(self) -> str:
        """
        The address of its database.
        """
        return f"postgresql+psycopg://chariots@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """
        Start it, and return once it answers.
        """
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        log = str(self._folder / "log")
        self._run("pg_ctl", "start", "-w", "-D", str(self._data), "-l", log, "-o", options)

    def stop(self) -> None:
        """
        Stop it as a crash would: connections are cut, nothing is said.
        """
        self._stop("immediate")

    @contextmanager
    def frozen(self, *backends: int) -> Iterator[None]:
        """
        Let it answer nothing within the block, though its system still takes what is sent:
        the whole server, or only the *backends* with these pids.
        """
        main = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
        chosen = [psutil.Process(pid) for pid in backends]
        if not backends:
            # From now on it makes no other.
            halt([main.pid])
            chosen = [main, *main.children(recursive=True)]
        halt([process.pid for process in chosen])
        try:
            yield
        finally:
            for process in chosen:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def close(self) -> None:
        """
        Stop it for good and remove its data.
        """
        if (self._data / "postmaster.pid").exists():
            self._stop("fast")
        shutil.rmtree(self._folder)

    def _stop(self, mode: str) -> None:
        self._run("pg_ctl", "stop", "-w", "-D", str(self._data), "-m", mode)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str] = [str(self._programs / program), *arguments]
        if self._user is not None:
            command = ["setpriv", f"--reuid={self._user}", "--clear-groups", *command]
        done = subprocess.run(
            command, cwd=self._folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
