"""
Behaviours 61 and 63: what a backend declares, it does.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from chariots_core.testing.conformance.fixtures import KitFixtures, needs
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.processes import Workers, alive

#: In which a worker that says it is ready must have begun a job.
PROMPT = 1.0

#: What draws numbers at random and may be installed: a fork copies its state.
GENERATORS = ("numpy.random",)

#: More than any pipe of the system holds.
MUCH_OUTPUT = 2_000_000


class Declared(KitFixtures):
    """
    Declared capabilities.
    """

    def test_61_a_spawned_worker_is_ready_when_it_says_so(self, deployment: Deployment) -> None:
        """
        61: after `wait_ready` a spawned worker is on the list, and takes a job promptly.
        """
        needs(deployment, "spawn")
        parent = deployment.remote()
        parent.call("spawn_worker")
        # Not waited for: it is what "ready" says.
        assert 1 == deployment.pool.n_workers

        record = deployment.write()

        deployment.until(
            lambda: deployment.ledger().starts(),
            "the job starts",
            PROMPT * deployment.bounds.scale,
        )
        deployment.gate().open()
        deployment.done(record.id)

    def test_61_a_spawned_worker_dies_with_its_parent(self, deployment: Deployment) -> None:
        """
        61: kill -9 of the process that spawned a worker leaves nothing of it.
        """
        needs(deployment, "spawn")
        parent = deployment.remote()
        spawned = parent.call("spawn_worker")
        deployment.write()
        executing = deployment.started()
        pids = {spawned, executing, *parent.children}

        parent.kill9()

        deployment.until(
            lambda: not any(alive(pid) for pid in pids),
            "worker and op die too",
            deployment.bounds.crash_detection,
        )

    def test_61_output_fills_no_pipe(self, deployment: Deployment) -> None:
        """
        61: a job under a spawned worker may print more than a pipe holds.
        """
        needs(deployment, "spawn")
        deployment.remote().call("spawn_worker")

        record = deployment.submit("chatty", MUCH_OUTPUT)

        assert MUCH_OUTPUT == deployment.done(record.id)

    def test_63_fresh_jobs_share_nothing(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        63: isolation fresh: a job finds no trace of the one before it.
        """
        first, second = self._two_probes(deployment, worker, "fresh")

        assert first["pid"] != second["pid"]
        assert (None, []) == (second["environment"], second["globals"])
        assert first["folder"] == second["folder"] != "/"
        _check_apart(first, second)

    @pytest.mark.parametrize("isolation", ["warm", "thread"])
    def test_63_jobs_in_one_process_share_it(
        self, deployment: Deployment, worker: Callable[..., Workers], isolation: str
    ) -> None:
        """
        63: isolation warm and thread: jobs share a process, so its state stays as a job left it.
        """
        first, second = self._two_probes(deployment, worker, isolation)

        assert first["pid"] == second["pid"]
        assert ("first", ["first"], "/") == (
            second["environment"],
            second["globals"],
            second["folder"],
        )
        _check_apart(first, second)

    def test_63_two_workers_draw_different_numbers(self, deployment: Deployment) -> None:
        """
        63: processes that were forked from one app do not share a seed.
        """
        needs(deployment, "spawn")
        parent = deployment.remote(imports=GENERATORS)
        drawn = []
        for mark in ("first", "second"):
            pid = parent.call("spawn_worker")
            drawn.append(deployment.done(deployment.submit("probe", mark).id))
            os.kill(pid, signal.SIGTERM)
            deployment.until(lambda pid=pid: not alive(pid), "the worker ends")  # type: ignore[misc]

        _check_apart(*drawn)

    def _two_probes(
        self, deployment: Deployment, worker: Callable[..., Workers], isolation: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        if isolation not in deployment.pool.capabilities.isolation:
            pytest.skip(f"not declared: isolation {isolation}")
        worker(isolation=isolation, imports=GENERATORS)
        first = deployment.done(deployment.submit("probe", "first").id)
        second = deployment.done(deployment.submit("probe", "second").id)
        return first, second


def _check_apart(first: dict[str, Any], second: dict[str, Any]) -> None:
    """
    Check that two probes drew different numbers, from each generator that there is.
    """
    assert first["drawn"].keys() == second["drawn"].keys()
    assert [] == [name for name, drawn in first["drawn"].items() if drawn == second["drawn"][name]]
