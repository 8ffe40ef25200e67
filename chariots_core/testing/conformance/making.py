"""
Behaviours 3 and 6 to 8: pools are made without consequences, survive forks, and keep to their word.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import psutil
import pytest

from chariots_core.errors import UnsupportedCapability
from chariots_core.testing.conformance.fixtures import KitFixtures
from chariots_core.testing.conformance.harness import Deployment

#: What the interpreter tells of when a process does more than compute.
_DEEDS: Final = (
    "_thread.start_new_thread",
    "open",
    "os.fork",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "socket.bind",
    "socket.connect",
    "sqlite3.connect",
    "subprocess.Popen",
)

#: What can be asked of a job, and the capability that it takes.
ASKED: Final[Mapping[str, Mapping[str, Any]]] = {
    "priorities": {"priority": 1},
    "queues": {"queue": "special"},
    "retry": {"max_attempts": 2},
    "schedule": {"delay": 60.0},
    "timeout_hard": {"timeout": 60.0},
}

#: The processes that submit at the same time.
CHILDREN = 4


class Making(KitFixtures):
    """
    What may be done with a pool before any job is run.
    """

    def test_03_what_is_listed_is_what_the_pool_declares(self, deployment: Deployment) -> None:
        """
        3: whoever reads the list of backends is told what the backend's pools do.
        """
        pool = deployment.pool

        assert pool.capabilities == deployment.app.plugins.use_backend(pool.name).capabilities

    def test_06_making_a_pool_does_nothing_else(self, deployment: Deployment) -> None:
        """
        6: a pool is made without writing a file, a connection, a thread or a process.
        """
        make = deployment.app.plugins.create_worker_pool
        # Once before: what a plugin imports at its first use is no deed of the pool's.
        make(deployment.config.worker_pool)

        with _watched() as deeds:
            make(deployment.config.worker_pool)

        assert [] == deeds

    def test_06_a_closed_pool_holds_nothing(self, deployment: Deployment) -> None:
        """
        6: closing a pool, once or twice, leaves no thread, file or child; it can be used again.
        """

        def use() -> None:
            deployment.submit("echo", 1)
            deployment.pool.close()
            deployment.pool.close()

        use()
        before = _held()

        use()

        assert before == _held()

    def test_07_a_pool_made_before_a_fork_works_in_its_children(
        self, deployment: Deployment
    ) -> None:
        """
        7: processes that were forked from one that had used the pool all submit, and so does it.
        """
        server = deployment.remote()
        server.call("submit", pipeline="echo", value=0)

        jobs = server.call("submit_from_children", children=CHILDREN)
        deployment.worker()

        assert CHILDREN == len(jobs)
        assert list(range(CHILDREN)) == [deployment.done(job_id) for job_id in jobs]
        after = server.call("submit", pipeline="echo", value="after")
        assert "after" == deployment.done(after["id"])

    @pytest.mark.parametrize("capability", ASKED)
    def test_08_what_is_not_declared_is_refused(
        self, deployment: Deployment, capability: str
    ) -> None:
        """
        8: a job that asks for what the backend does not declare is not recorded.
        """
        if getattr(deployment.pool.capabilities, capability):
            pytest.skip(f"declared: {capability}")

        with pytest.raises(UnsupportedCapability) as caught:
            deployment.submit("echo", 1, **ASKED[capability])

        assert capability in str(caught.value)
        assert 0 == sum(deployment.store.counts().values())


_watching: list[list[str]] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    # Clients look up their own version and the like: reading a file changes nothing.
    reads = event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if _watching and event in _DEEDS and not reads:
        _watching[-1].append(f"{event} {arguments!r:.200}")


@contextmanager
def _watched() -> Iterator[list[str]]:
    """
    What the process does within the block, beside computing.
    """
    if not _hooked:
        # It cannot be taken off again, so there is only one.
        sys.addaudithook(_note)
        _hooked.append(True)
    deeds: list[str] = []
    _watching.append(deeds)
    try:
        yield deeds
    finally:
        _watching.pop()


_hooked: list[bool] = []


def _held() -> tuple[int, int, int]:
    """
    How many threads, open files and children this process has.
    """
    process = psutil.Process()
    return threading.active_count(), process.num_fds(), len(process.children())
