"""
Behaviour 67: many small jobs while workers die at random, and what must hold whatever happened.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext

import attrs
import pytest

from chariots_core.jobs import JobRecord, JobStatus
from chariots_core.testing.conformance.broker import BrokerServer
from chariots_core.testing.conformance.fixtures import KitFixtures
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.processes import Workers
from chariots_core.testing.conformance.training import registered, versions

#: The ways in which a worker dies.
DEATHS = ("kill9", "kill9_child", "kill_tree")


@attrs.frozen(kw_only=True)
class Plan:
    """
    How much is soaked.

    Attributes:
        jobs: how many jobs; every tenth one trains.
        workers: how many workers are kept alive.
        attempts: how often a job may be started.
        nap: seconds that a job takes, not scaled: a quick queue is to see some kills, too.
        pause: seconds between two kills, not scaled.
        timeout: seconds in which every job has to end, not scaled.
        restarts: how often the broker is stopped and started meanwhile, where
            a test may do so; what it keeps has to outlive that.
    """

    jobs: int = 60
    workers: int = 3
    attempts: int = 10
    nap: float = 0.0
    pause: float = 0.5
    timeout: float = 45.0
    restarts: int = 0


#: What ``--conformance-soak`` asks for.
LONG = Plan(jobs=1000, workers=4, nap=0.03, pause=1.0, timeout=1200.0, restarts=2)


class Soak(KitFixtures):
    """
    A soak: short, unless the option says otherwise.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def soak(cls, request: pytest.FixtureRequest) -> Plan:
        """
        How much is soaked.
        """
        return LONG if request.config.getoption("conformance_soak", default=False) else Plan()

    def test_67_random_kills_lose_and_double_nothing(
        self,
        deployment: Deployment,
        worker: Callable[..., Workers],
        broker: BrokerServer | None,
        soak: Plan,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """
        67: every job ends, none runs more often than it has attempts, none commits twice.
        """
        before = registered(deployment)
        workers = [worker() for _ in range(soak.workers)]
        jobs = [_submit(deployment, number, soak) for number in range(soak.jobs)]
        deaths: Counter[str] = Counter()
        restarts = [broker] * soak.restarts if broker and hasattr(broker, "stop") else []

        def killed_until_ended() -> bool:
            deaths[_kill_one(deployment, workers)] += 1
            deployment.gate("soak").let_pass(soak.pause)
            ended = [job for job in _now(deployment, jobs) if job.status.is_final]
            part = soak.jobs * (soak.restarts - len(restarts) + 1)
            if restarts and len(ended) * (soak.restarts + 1) >= part:
                again = restarts.pop()
                again.stop()
                again.start()
                deaths["broker"] += 1
            return len(ended) == soak.jobs

        deployment.until(killed_until_ended, "every job ends", soak.timeout)

        ended = _now(deployment, jobs)
        starts = Counter(entry.note for entry in deployment.ledger("soak").starts())
        commits = [deployment.states(job.id).count(JobStatus.done) for job in ended]
        # Who asks for the long one wants to see it; of the short one it is shown where it fails.
        with capsys.disabled() if soak is LONG else nullcontext():
            print(f"\n{_ledger(ended, starts, commits, deaths)}")  # noqa: T201
        assert {JobStatus.done} == {job.status for job in ended}, deployment.story()
        assert [] == [n for n, job in enumerate(ended) if starts[n] > job.attempt]
        assert {1} == set(commits)
        assert [] == restarts
        # A training that is done is published, even if a process was killed.
        trained = [job for job in ended if job.pipeline == "train"]
        assert [] == [job.id for job in trained if job.is_unpublished]
        assert len(trained) == len(versions(deployment) - before)


def _submit(deployment: Deployment, number: int, soak: Plan) -> JobRecord:
    pipeline = "write" if number % 10 else "train"
    task = deployment.task("soak", note=number, nap=soak.nap)
    return deployment.submit(pipeline, task, max_attempts=soak.attempts)


def _kill_one(deployment: Deployment, workers: list[Workers]) -> str:
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
