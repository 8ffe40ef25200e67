"""
A redis-server of the tests' own, which they may stop, freeze and kill.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import attrs
from redis import Redis
from redis.exceptions import RedisError

from chariots_core.testing.conformance.processes import halt
from tests.support import free_port, services_hidden, wait_until


def redis_program() -> str | None:
    """
    The program on PATH; ``None`` where there is none, or services are hidden.
    """
    return None if services_hidden() else shutil.which("redis-server")


@attrs.define
class RedisProcess:
    """
    A server on a free port of the loopback interface.

    Args:
        folder: where it keeps its files.
        options: settings beyond those that make it small.
    """

    folder: Path
    options: tuple[str, ...] = ()
    port: int = attrs.field(factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """
        Its address.
        """
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> Redis:
        """
        A client of its own.
        """
        return Redis(port=self.port, socket_timeout=5.0)

    def start(self) -> None:
        """
        Start it, and return once it answers.
        """
        program = redis_program()
        assert program is not None
        arguments = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "")
        self.process = subprocess.Popen(
            [program, *arguments, "--dir", str(self.folder), *self.options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._answers, 20.0, "a redis-server that answers")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "redis-server has ended"
        with suppress(RedisError), self.client() as client:
            return bool(client.ping())
        return False

    def kill(self) -> None:
        """
        Kill it with no time to write anything.
        """
        if self.process is not None:
            self.process.kill()
            self.process.wait(10.0)
            self.process = None

    def stop(self) -> None:
        """
        Stop it as an operator would.
        """
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20.0)
            self.process = None

    def freeze(self) -> None:
        """
        Let it take connections and answer nothing.
        """
        assert self.process is not None
        halt([self.process.pid])

    def thaw(self) -> None:
        """
        Let it go on.
        """
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)


@attrs.frozen
class RedisBroker:
    """
    A server as the conformance kit wants it: a broker that it may stop.

    Args:
        server: the server.
        keys: a pattern of the keys that are the queues', and not the jobs'.
    """

    server: RedisProcess
    keys: str

    def stop(self) -> None:
        """
        End it.
        """
        self.server.stop()

    def start(self) -> None:
        """
        Start it with what its log of changes holds.
        """
        self.server.start()

    def flush(self) -> None:
        """
        Delete the queues' keys.
        """
        with self.server.client() as client:
            client.delete("", *client.scan_iter(self.keys))

    def pause(self) -> None:
        """
        Stop its process.
        """
        self.server.freeze()

    def resume(self) -> None:
        """
        Continue its process.
        """
        self.server.thaw()
