"""
What tests of every tier share: waiting for conditions, ports, services.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from chariots_core.testing.conformance.behaviours import level_of

T = TypeVar("T")

#: The root of the checkout.
ROOT = Path(__file__).resolve().parent.parent

#: Where a PostgreSQL server may be met unless the environment says otherwise.
DEFAULT_POSTGRES_URL = "postgresql+psycopg://postgres@127.0.0.1:5432/test"

#: How often a condition is looked at.
POLL_INTERVAL = 0.01


def wait_until(
    predicate: Callable[[], T], timeout: float = 10.0, message: str | Callable[[], str] = ""
) -> T:
    """
    Waits until *predicate* gives something true, and returns that.

    Args:
        predicate: asked again and again; an exception in it ends the wait.
        timeout: seconds after which the wait fails.
        message: what was waited for; a function is called only on failure.

    Raises:
        AssertionError: it did not become true in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= deadline:
            text = message() if callable(message) else message
            raise AssertionError(f"waited {timeout:g} s in vain: {text or repr(predicate)}")
        time.sleep(POLL_INTERVAL)


def free_port() -> int:
    """
    A port of the loopback interface on which nothing listens now.

    It is none of those that the system gives to clients: who asks such a port
    again and again whether a server is there yet is connected to itself in the
    end, and then the server finds its port taken.
    """
    for port in random.sample(range(12_000, 32_000), 200):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def port_open(host: str, port: int, timeout: float = 0.5) -> bool:
    """
    Whether something accepts connections there.
    """
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return True
    except OSError:
        return False


def process_alive(pid: int) -> bool:
    """
    Whether a process runs; one that has ended and waits to be reaped does not.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def services_hidden() -> bool:
    """
    Whether this run pretends that the machine offers no service at all.
    """
    return os.environ.get("CHARIOTS_TEST_NO_SERVICES", "") not in {"", "0"}


def skip_is_failure() -> bool:
    """
    Whether a test that misses its service fails: in CI, unless services are hidden.
    """
    return os.environ.get("CI", "").lower() == "true" and not services_hidden()


def postgres_url() -> str | None:
    """
    The address of a PostgreSQL server that answers, or None.
    """
    if services_hidden():
        return None
    url = os.environ.get("CHARIOTS_TEST_POSTGRES_URL", DEFAULT_POSTGRES_URL)
    parts = urlsplit(url)
    reachable = port_open(parts.hostname or "127.0.0.1", parts.port or 5432)
    return url if reachable else None


def trim_kit(suite: type, *kept: str, basic: bool = False) -> None:
    """
    Leave in a suite of the conformance kit only the tests whose names begin with
    one of *kept*, and those of the basic level, if *basic*.

    Not where the whole kit is asked for on every backend, for its report.
    """
    if os.environ.get("CHARIOTS_TEST_WHOLE_KIT"):
        return
    for name in dir(suite):
        if not name.startswith("test_") or name.startswith(kept):
            continue
        if not (basic and level_of(getattr(suite, name)) == "basic"):
            setattr(suite, name, None)


def printed_by_processes(code: str, *hash_seeds: str) -> set[str]:
    """
    Run *code* in one new process for each hash seed.

    Returns:
        The different outputs.
    """
    return {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in hash_seeds
    }
