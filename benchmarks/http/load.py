"""
A small load generator: keep-alive connections, one request in flight on each.

``python -m benchmarks.http.load PORT PATH BODY CONNECTIONS SECONDS`` prints
requests per second and latencies as JSON. It does as little as it can for each
request, since it shares the machine with what it measures.
"""

from __future__ import annotations

import json
import select
import socket
import statistics
import sys
import time

WARM_UP = 0.5


class Connection:
    """
    One connection, with its request in flight.
    """

    def __init__(self, port: int, request: bytes) -> None:
        self.port = port
        self.request = request
        self.socket = self._connect()
        self.received = b""
        self.sent_at = 0.0
        self.is_new = False

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def send(self) -> None:
        """
        Send the request.
        """
        self.sent_at = time.perf_counter()
        self.socket.sendall(self.request)

    def receive(self) -> bool:
        """
        Read what is there; whether the answer is complete.
        """
        self.received += self.socket.recv(65536)
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return False
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        length = int(lower[start : lower.find(b"\r\n", start) % (len(lower) + 1)])
        if len(body) < length:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"unexpected answer: {self.received[:400]!r}")
        self.received = b""
        if b"connection: close" in lower:
            self.socket.close()
            self.socket = self._connect()
            self.is_new = True
        return True


def measure(port: int, path: str, body: str, connections: int, seconds: float) -> dict[str, float]:
    """
    Requests per second, and latencies in milliseconds, over *seconds*.
    """
    text = body.encode()
    request = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    ).encode() + text
    everyone = [Connection(port, request) for _ in range(connections)]
    warm = _drive(everyone, WARM_UP)
    began = time.perf_counter()
    latencies = _drive(everyone, seconds)
    took = time.perf_counter() - began
    for one in everyone:
        one.socket.close()
    latencies.sort()
    return {
        "requests": float(len(warm) + len(latencies)),
        "rps": len(latencies) / took,
        "p50_ms": statistics.median(latencies) * 1e3,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1e3,
    }


def _drive(everyone: list[Connection], seconds: float) -> list[float]:
    latencies: list[float] = []
    if len(everyone) == 1:
        one, end = everyone[0], time.perf_counter() + seconds
        while time.perf_counter() < end:
            one.send()
            while not one.receive():
                pass
            latencies.append(time.perf_counter() - one.sent_at)
        return latencies
    poll = select.epoll()
    by_fd = {}
    for one in everyone:
        one.send()
        by_fd[one.socket.fileno()] = one
        poll.register(one.socket.fileno(), select.EPOLLIN)
    end = time.perf_counter() + seconds
    while by_fd:
        for ready, _ in poll.poll():
            fd = ready
            one = by_fd[fd]
            if not one.receive():
                continue
            now = time.perf_counter()
            latencies.append(now - one.sent_at)
            if one.is_new:
                # the old descriptor left the poll as it was closed; the new one
                # may have the same number
                del by_fd[fd]
                fd = one.socket.fileno()
                by_fd[fd] = one
                poll.register(fd, select.EPOLLIN)
                one.is_new = False
            if now < end:
                one.send()
            else:
                poll.unregister(fd)
                del by_fd[fd]
    poll.close()
    return latencies


if __name__ == "__main__":
    port, path, body, connections, seconds = sys.argv[1:]
    print(json.dumps(measure(int(port), path, body, int(connections), float(seconds))))
