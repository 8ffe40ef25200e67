"""
A RabbitMQ node of the tests' own, which they may stop, freeze and kill.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pika
import psutil
from pika.exceptions import AMQPError

from chariots_core.testing.conformance.processes import halt
from tests.support import free_port, services_hidden, wait_until

#: Where distributions put the programs themselves: those on PATH insist on the machine's own node.
_PLACES: Final = ("/usr/lib/rabbitmq/bin", "/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/sbin")


def rabbitmq_programs() -> Path | None:
    """
    The folder with rabbitmq-server and rabbitmqctl; ``None`` where there is
    none, or services are hidden.
    """
    if services_hidden():
        return None
    found = [Path(place) for place in _PLACES if (Path(place) / "rabbitmq-server").exists()]
    return found[0] if found else None


class RabbitProcess:
    """
    A node on free ports of the loopback interface, with the user ``guest``.
    """

    def __init__(self) -> None:
        programs = rabbitmq_programs()
        assert programs is not None
        self._programs = programs
        # Not below pytest's own folder, which only its user may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="chariots-rabbitmq-"))
        self._user = "rabbitmq" if os.geteuid() == 0 and _is_user("rabbitmq") else None
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self.port = free_port()
        self._node = f"chariots-{self.port}@localhost"
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq"),
            # Two schedulers are plenty, and start faster.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
        }
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """
        Its address.
        """
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F?socket_timeout=2"

    def start(self) -> None:
        """
        Start it with what it kept, and return once it answers.
        """
        wait_until(self._answers, 50.0, self._story)

    def stop(self) -> None:
        """
        Kill it.
        """
        killed = self._processes()
        for process in killed:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(killed, 20.0)
        if self._server is not None:
            self._server.wait(20.0)
        self._server = None

    def freeze(self) -> None:
        """
        Let it take connections and answer nothing.
        """
        halt([process.pid for process in self._processes()])

    def thaw(self) -> None:
        """
        Let it go on.
        """
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def connect(self) -> pika.BlockingConnection:
        """
        A connection of the test's own.
        """
        return pika.BlockingConnection(pika.URLParameters(self.url))

    def queues(self) -> list[str]:
        """
        The names of its queues.
        """
        done = subprocess.run(
            self._command("rabbitmqctl", "--quiet", "-n", self._node, "list_queues", "name"),
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=50,
            check=True,
        )
        return [line for line in done.stdout.splitlines() if line.startswith("chariots.")]

    def flush(self) -> None:
        """
        Empty every queue.
        """
        with self.connect() as connection:
            channel = connection.channel()
            for name in self.queues():
                channel.queue_purge(name)

    def close(self) -> None:
        """
        Kill it and remove its data.
        """
        self.stop()
        shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        if self._server is None or self._server.poll() is not None:
            # Erlang's list of names keeps that of a killed node for a moment,
            # and the next one ends at once.
            with (self._folder / "output").open("ab") as output:
                self._server = subprocess.Popen(
                    self._command("rabbitmq-server"),
                    cwd=self._folder,
                    env=self._environment,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        try:
            self.connect().close()
        except (AMQPError, OSError):
            return False
        return True

    def _story(self) -> str:
        output = (self._folder / "output").read_text(errors="replace")
        return f"a RabbitMQ node that answers on port {self.port}:\n{output[-3000:]}"

    def _processes(self) -> list[psutil.Process]:
        if self._server is None or self._server.poll() is not None:
            return []
        first = psutil.Process(self._server.pid)
        return [*first.children(recursive=True), first]

    def _command(self, program: str, *arguments: str) -> Sequence[str]:
        command = [str(self._programs / program), *arguments]
        if self._user is None:
            return command
        return ["setpriv", f"--reuid={self._user}", "--clear-groups", *command]


def _is_user(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())
