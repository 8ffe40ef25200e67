"""
Several hosts on one machine: network namespaces, each with a folder that the others do not see.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from tests.support import ROOT, services_hidden


def can_make_hosts() -> bool:
    """
    Whether this user may make network namespaces here.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None or services_hidden():
        return False
    name = f"chariots-probe-{os.getpid()}"
    made = _ip("netns", "add", name, check=False)
    _ip("netns", "del", name, check=False)
    return made.returncode == 0


def _ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ip", *arguments], check=check, capture_output=True, timeout=20)


@attrs.define
class Host:
    """
    A host: its name, its address, its folder, and what runs on it.
    """

    name: str
    address: str
    folder: Path
    hidden: Path
    processes: list[subprocess.Popen[bytes]] = attrs.field(factory=list)
    started: int = 0

    def _command(self, *command: str) -> list[str]:
        # Its own mounts: the other host's folder is an empty one here.
        hide = f'mount -t tmpfs none {self.hidden} && exec "$@"'
        inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", hide, "sh"]
        return ["ip", "netns", "exec", self.name, *inside, *command]

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return {
            **os.environ,
            "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}",
            "TMPDIR": str(temporary),
            **settings,
        }

    def start(self, *command: str, **settings: str) -> subprocess.Popen[bytes]:
        """
        Start a program, with its output in a file of the host's folder.
        """
        self.started += 1
        with (self.folder / f"{self.started}.log").open("wb") as log:
            process = subprocess.Popen(
                self._command(*command),
                cwd=self.folder,
                env=self._environment(settings),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def run(self, *command: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """
        Run a program to its end.
        """
        return subprocess.run(
            self._command(*command),
            cwd=self.folder,
            env=self._environment({}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def python(self, *arguments: str) -> tuple[str, ...]:
        """
        The command line of a module or a script.
        """
        return (sys.executable, *arguments)

    def log(self) -> str:
        """
        What all its programs wrote.
        """
        return "\n".join(
            f"== {self.name} {path.name}\n{path.read_text(errors='replace')}"
            for path in sorted(self.folder.glob("*.log"))
        )

    def kill(self) -> None:
        """
        End all that runs on it, as a power cut would.
        """
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        found = _ip("netns", "pids", self.name, check=False).stdout.split()
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for process in self.processes:
            process.wait(10.0)
        self.processes.clear()


@contextmanager
def two_hosts(folder: Path, number: int) -> Iterator[tuple[Host, Host]]:
    """
    Two hosts with a cable between them.

    Args:
        folder: where their folders are.
        number: from 0 to 255, the network's: no other test may have it.
    """
    names = [f"chariots-{os.getpid()}-{end}" for end in "ab"]
    cables = [f"ch{number}{end}" for end in "ab"]
    folders = [folder / end for end in "ab"]
    for path in folders:
        path.mkdir()
    hosts = [
        Host(names[n], f"10.91.{number}.{n + 1}", folders[n], folders[1 - n]) for n in range(2)
    ]
    try:
        for name in names:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("link", "add", cables[0], "netns", names[0], "type", "veth",
            "peer", "name", cables[1], "netns", names[1])  # fmt: skip
        for host, cable in zip(hosts, cables, strict=True):
            _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", cable)
            _ip("-n", host.name, "link", "set", cable, "up")
        yield hosts[0], hosts[1]
    finally:
        for host in hosts:
            host.kill()
            _ip("netns", "del", host.name, check=False)
