"""
A served app: what a client on another machine would talk to.
"""

from __future__ import annotations

import random
import socket
from functools import cached_property
from typing import Any

import httpx

from chariots_core.testing.conformance.processes import Process, wait_until


def free_port() -> int:
    """
    A port of this machine on which nobody listens.

    It is none of those that the system gives to clients: who asks such a port
    again and again whether a server is there yet is connected to itself in the
    end, and then the server finds its port taken.
    """
    for port in random.sample(range(12_000, 32_000), 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


class Web(Process):
    """
    A server of the app, by the command line, on a port of its own.

    Attributes:
        url: where it answers.
    """

    url: str

    def wait_ready(self, port: int, timeout: float) -> Web:
        """
        Return once it answers on *port*.
        """
        self.url = f"http://127.0.0.1:{port}"
        wait_until(self._answers, timeout=timeout, message=lambda: f"{self.url}: {self.output()}")
        return self

    @cached_property
    def client(self) -> httpx.Client:
        """
        What speaks to it. No connection is kept: each request may meet another process.
        """
        one_each = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(base_url=self.url, timeout=20.0, limits=one_each, trust_env=False)

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()
        super().close()

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        """
        GET a path.
        """
        return self.client.get(path, **arguments)

    def post(self, path: str, **arguments: Any) -> httpx.Response:
        """
        POST to a path.
        """
        return self.client.post(path, **arguments)

    def submit(self, pipeline: str, value: Any) -> str:
        """
        Ask for a run on a worker, and return the job's id.
        """
        body = {"input": value, "use_worker": True}
        response = self.post(f"/api/v1/pipelines/{pipeline}/runs", json=body)
        assert response.status_code == 202, (response.status_code, response.text)
        return str(response.json()["job"]["id"])

    def _answers(self) -> bool:
        code = self.popen.poll()
        if code is not None:
            raise AssertionError(f"{self.name} ended with {code}: {self.output()}")
        try:
            return self.get("/livez").status_code == 200
        except httpx.TransportError:
            return False
