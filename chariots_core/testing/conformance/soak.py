"""
Behaviour 67: many small jobs while workers die at random, and what must hold whatever happened.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

from chariots_core.jobs import JobRecord, JobStatus
from chariots_core.testing.conformance.broker import BrokerServer
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
        soak_restarts: how often the broker is stopped and started meanwhile, where
            a test may do so; what it keeps has to outlive that.
    """

    soak_jobs: ClassVar[int] = 60
    soak_workers: ClassVar[int] = 3
    soak_attempts: ClassVar[int] = 10
    soak_pause: ClassVar[float] = 0.5
    soak_timeout: ClassVar[float] = 45.0
    soak_restarts: ClassVar[int] = 0

    def test_67_random_kills_lose_and_double_nothing(
        self,
        deployment: Deployment,
        worker: Callable[..., Workers],
        broker: BrokerServer | None,
    ) -> None:
        """
        67: every job ends, none runs more often than it has attempts, none commits twice.
        """
        before = registered(deployment)
        workers = [worker() for _ in range(self.soak_workers)]
        jobs = [self._submit(deployment, number) for number in range(self.soak_jobs)]
        deaths: Counter[str] = Counter()
        restarts = [] if broker is None else [broker] * self.soak_restarts

        def killed_until_ended() -> bool:
            deaths[self._kill_one(deployment, workers)] += 1
            deployment.gate("soak").let_pass(self.soak_pause)
            ended = [job for job in _now(deployment, jobs) if job.status.is_final]
            part = self.soak_jobs * (self.soak_restarts - len(restarts) + 1)
            if restarts and len(ended) * (self.soak_restarts + 1) >= part:
                again = restarts.pop()
                again.stop()
                again.start()
                deaths["broker"] += 1
            return len(ended) == self.soak_jobs

        deployment.until(killed_until_ended, "every job ends", self.soak_timeout)

        ended = _now(deployment, jobs)
        starts = Counter(entry.note for entry in deployment.ledger("soak").starts())
        commits = [deployment.states(job.id).count(JobStatus.done) for job in ended]
        # pytest shows it with -s, and where the test fails.
        print(_ledger(ended, starts, commits, deaths))  # noqa: T201
        assert {JobStatus.done} == {job.status for job in ended}, deployment.story()
        assert [] == [n for n, job in enumerate(ended) if starts[n] > job.attempt]
        assert {1} == set(commits)
        assert [] == restarts
        # Whoever is killed last may have left a training to publish.
        worker()
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

    def _kill_one(self, deployment: Deployment, workers: list[Workers]) -> str:
        place, death = random.randrange(len(workers)), random.choice(DEATHS)
        getattr(workers[place], death)()
        if not workers[place].processes[0].lives:
            workers[place] = deployment.worker()
        return death


def _now(deployment: Deployment, jobs: list[JobRecord]) -> list[JobRecord]:
    return [deployment.peek(job.id) for job in jobs]


def _ledger(
    jobs: list[JobRecord], starts: Counter[int], commits: list[int], deaths: Counter[str]
) -> str:
    """
    What happened in all: it has to add up.
    """
    attempts = Counter(job.attempt for job in jobs)
    lines = {
        "backend": jobs[0].backend,
        "jobs": len(jobs),
        "ended": dict(Counter(job.status.value for job in jobs)),
        "attempts": dict(sorted(attempts.items())),
        "starts of ops": sum(starts.values()),
        "attempts in all": sum(job.attempt for job in jobs),
        "commits": sum(commits),
        "committed twice": sum(count > 1 for count in commits),
        "killed": dict(sorted(deaths.items())),
    }
    return "\n".join(f"{name:>16}  {value}" for name, value in lines.items())
