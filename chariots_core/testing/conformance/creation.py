"""
Behaviours 6 to 8: a pool is made without a connection, outlives forks, and keeps its word.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from chariots_core.errors import UnsupportedCapability
from chariots_core.testing.conformance.behaviours import basic
from chariots_core.testing.conformance.fixtures import KitFixtures
from chariots_core.testing.conformance.harness import Deployment

#: For each capability an option of a job that needs it.
ASKS_FOR: Final[dict[str, dict[str, Any]]] = {
    "priorities": {"priority": 1},
    "queues": {"queue": "special"},
    "schedule": {"delay": 60.0},
    "retry": {"max_attempts": 2},
    "timeout_hard": {"timeout": 60.0},
}

#: How many processes use one pool at once, and how many jobs each submits.
CHILDREN: Final = 4
JOBS: Final = 10


class Creation(KitFixtures):
    """
    Pools as they are made and closed.
    """

    @basic
    def test_06_a_pool_is_made_without_a_connection(self, deployment: Deployment) -> None:
        """
        6: making an app with the backend opens no connection and starts nothing.
        """
        made = deployment.remote().call("making")

        assert [] == made["events"]
        assert (1, 0, 0) == (made["threads"], made["children"], made["connections"])

    @basic
    def test_06_a_closed_pool_leaves_nothing_open(self, deployment: Deployment) -> None:
        """
        6: `close` may be called twice, leaks nothing, and a later use connects anew.
        """
        # The first time loads modules, which stay.
        _, first, *_, last = deployment.remote().call("reopen", times=6)

        assert (0, 0) == (last["connections"], last["children"])
        assert first == last

    @basic
    def test_07_a_pool_made_before_a_fork_works_in_each_child(self, serving: Deployment) -> None:
        """
        7: four children of one process submit and look up at once, and are not mixed up.
        """
        parent = serving.remote()
        try:
            found = parent.call("submit_in_children", children=CHILDREN, jobs=JOBS)
            again = parent.call("submit_in_children", children=1, jobs=1)
        finally:
            parent.close()

        assert [JOBS] * CHILDREN == [len(ids) for ids in found]
        assert CHILDREN * JOBS == len({job_id for ids in found for job_id in ids})
        for number, ids in enumerate([*found, *again]):
            for job, job_id in enumerate(ids):
                assert [number % CHILDREN, job] == serving.done(job_id)

    @basic
    def test_07_a_pool_used_before_a_fork_works_on_both_sides(self, serving: Deployment) -> None:
        """
        7: nor does a connection that is open as a process forks serve two of them.
        """
        parent = serving.remote()
        try:
            before = parent.call("submit", pipeline="echo", value="before")
            (ids,) = parent.call("submit_in_children", children=1, jobs=JOBS)
            after = parent.call("submit", pipeline="echo", value="after")
        finally:
            parent.close()

        assert ["before", "after"] == [serving.done(job["id"]) for job in (before, after)]
        assert [[0, job] for job in range(JOBS)] == [serving.done(job_id) for job_id in ids]

    @basic
    @pytest.mark.parametrize("capability", ASKS_FOR)
    def test_08_what_is_declared_is_accepted(self, deployment: Deployment, capability: str) -> None:
        """
        8: a job may ask for what is declared, and its record says that it did.
        """
        options = ASKS_FOR[capability]
        if not getattr(deployment.pool.capabilities, capability):
            self._refuses(deployment, capability)
            return

        record = deployment.submit("echo", 1, **options)

        kept = {name: getattr(record, name) for name in options if name != "delay"}
        assert {name: value for name, value in options.items() if name != "delay"} == kept
        assert ("delay" in options) == (record.status.value == "deferred")

    @basic
    @pytest.mark.parametrize("capability", ASKS_FOR)
    def test_08_what_is_not_declared_is_refused_before_the_queue(
        self, deployment: Deployment, capability: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        8: without the capability the option is refused: nothing is recorded or handed over.
        """
        pool = deployment.pool
        less = pool.capabilities.without(capability)
        monkeypatch.setattr(pool, "capabilities", less, raising=False)

        self._refuses(deployment, capability)

    @basic
    def test_08_workers_are_spawned_as_declared(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """
        8: without the capability no worker is spawned, nor in a way that is not declared.
        """
        pool = deployment.pool
        less = pool.capabilities.without("spawn")
        monkeypatch.setattr(pool, "capabilities", less, raising=False)

        with pytest.raises(UnsupportedCapability):
            pool.spawn_worker()
        assert [] == list(deployment.store.workers())

    def _refuses(self, deployment: Deployment, capability: str) -> None:
        """
        Check that a job which needs *capability* reaches neither the store nor the queue.
        """
        handed_over: list[object] = []
        pool = deployment.pool
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pool, "submit", handed_over.append)
            patch.setattr(pool, "record_and_submit", lambda *given: handed_over.append(given))
            with pytest.raises(UnsupportedCapability) as caught:
                deployment.submit("echo", 1, **ASKS_FOR[capability])

        assert (capability, pool.name) == (caught.value.capability, caught.value.backend)
        assert [] == handed_over
        assert [] == deployment.jobs()
