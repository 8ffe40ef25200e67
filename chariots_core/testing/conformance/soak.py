"""
Behaviour 67: many small jobs while workers die at random, and what must hold whatever happened.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

from chariots_core.jobs import JobRecord, JobStatus
from chariots_core.testing.conformance.fixtures import KitFixtures
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.processes import Workers
from chariots_core.testing.conformance.training import registered, versions

#: The ways in which a worker dies.
DEATHS = ("kill9", "kill9_child", "kill_tree")


class Soak(KitFixtures):
    """
    A soak, short unless a subclass makes it long.

    Attributes:
        soak_jobs: how many jobs; every tenth one trains.
        soak_workers: how many workers are kept alive.
        soak_attempts: how often a job may be started.
        soak_pause: seconds between two kills, not scaled.
        soak_timeout: seconds in which every job has to end, not scaled.
    """

    soak_jobs: ClassVar[int] = 60
    soak_workers: ClassVar[int] = 3
    soak_attempts: ClassVar[int] = 10
    soak_pause: ClassVar[float] = 0.5
    soak_timeout: ClassVar[float] = 45.0

    def test_67_random_kills_lose_and_double_nothing(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        67: every job ends, none runs more often than it has attempts, none commits twice.
        """
        before = registered(deployment)
        workers = [worker() for _ in range(self.soak_workers)]
        jobs = [self._submit(deployment, number) for number in range(self.soak_jobs)]

        def killed_until_ended() -> bool:
            self._kill_one(deployment, workers)
            deployment.gate("soak").let_pass(self.soak_pause)
            return all(job.status.is_final for job in _now(deployment, jobs))

        deployment.until(killed_until_ended, "every job ends", self.soak_timeout)

        ended = _now(deployment, jobs)
        starts = Counter(entry.note for entry in deployment.ledger("soak").starts())
        assert {JobStatus.done} == {job.status for job in ended}, deployment.story()
        assert [] == [n for n, job in enumerate(ended) if starts[n] > job.attempt]
        assert {1} == {deployment.states(job.id).count(JobStatus.done) for job in ended}
        trained = [job for job in ended if job.pipeline == "train"]
        deployment.until(
            lambda: not any(job.is_unpublished for job in _now(deployment, trained)),
            "every training is published",
        )
        assert len(trained) == len(versions(deployment) - before)

    def _submit(self, deployment: Deployment, number: int) -> JobRecord:
        pipeline = "write" if number % 10 else "train"
        task = deployment.task("soak", note=number)
        return deployment.submit(pipeline, task, max_attempts=self.soak_attempts)

    def _kill_one(self, deployment: Deployment, workers: list[Workers]) -> None:
        place = random.randrange(len(workers))
        getattr(workers[place], random.choice(DEATHS))()
        if not workers[place].processes[0].lives:
            workers[place] = deployment.worker()


def _now(deployment: Deployment, jobs: list[JobRecord]) -> list[JobRecord]:
    return [deployment.peek(job.id) for job in jobs]
