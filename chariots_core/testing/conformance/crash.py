"""
Behaviours 30 to 36: whatever is killed, the record tells the truth within the bound.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from chariots_core.jobs import JobStatus, Reason
from chariots_core.testing.conformance.behaviours import basic
from chariots_core.testing.conformance.fixtures import KitFixtures, not_declared
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.processes import Workers, alive
from chariots_core.workers import RunOutcome


class Crash(KitFixtures):
    """
    Deaths of workers.
    """

    @basic
    def test_30_the_executing_process_is_killed(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        30: its job is lost within the bound, ran once, and the worker goes on.
        """
        worker()
        record = deployment.write()
        pid = deployment.started()

        _kill(pid)

        lost = deployment.lost(record.id)
        assert 1 == len(deployment.ledger().starts())
        assert lost.worker == deployment.serves().worker

    def test_31_the_supervising_process_is_killed(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        31: the executing process dies with its parent, and the job is lost within the bound.
        """
        started = worker()
        record = deployment.write()
        pid = deployment.started()

        started.kill9()

        deployment.until(lambda: not alive(pid), "no orphan", deployment.bounds.crash_detection)
        deployment.lost(record.id)
        assert [] == deployment.ledger().finishes()
        assert 1 == len(deployment.ledger().starts())

    def test_31_an_op_kills_its_supervisor(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        31: nor does an op live on that kills the process above it.
        """
        worker()
        record = deployment.submit("killparent", deployment.task(spare=os.getpid()))
        pid = deployment.started()

        deployment.until(lambda: not alive(pid), "no orphan", deployment.bounds.crash_detection)
        deployment.lost(record.id)

    @basic
    def test_32_the_whole_worker_is_killed(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        32: with no other worker alive, looking the job up is enough to settle it.
        """
        started = worker()
        record = deployment.write()
        deployment.started()

        started.kill_tree()

        assert [] == started.pids
        deployment.lost(record.id)
        assert 1 == len(deployment.ledger().starts())

    def test_33_a_job_survives_the_workers_it_kills(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        33: a job of three attempts that kills two of them is done by the third.
        """
        worker()
        task = deployment.task(kills=2)
        record = deployment.submit("flakykill", task, max_attempts=3)

        assert 3 == deployment.done(record.id)
        assert 3 == deployment.fetch(record.id).attempt
        assert 3 == len(deployment.ledger().starts())

    def test_33_poison_ends_and_others_keep_flowing(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        33: a job that always kills fails after exactly its attempts; others run meanwhile.
        """
        worker()
        poison = deployment.submit("suicide", deployment.task(), max_attempts=3)
        others = [deployment.submit("echo", number) for number in range(5)]

        assert list(range(5)) == [deployment.done(other.id) for other in others]
        failed = deployment.failed(poison.id, Reason.ATTEMPTS_EXHAUSTED)
        assert 3 == failed.attempt
        assert 3 == len(deployment.ledger().starts())

    def test_33_a_container_killed_twice_gives_the_job_to_the_third(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        33: attempts also count where nothing of the worker is left to tell.
        """
        record = deployment.write(max_attempts=3)
        for attempt in (1, 2):
            started = worker()
            deployment.started(times=attempt)
            started.kill_tree()
        deployment.gate().open()
        worker()

        deployment.done(record.id)
        assert 3 == deployment.fetch(record.id).attempt
        assert 1 == len(deployment.ledger().finishes())

    def test_34_a_worker_is_killed_between_dequeue_and_claim(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        34: the job is not lost, and no attempt is counted.

        Where the store is the queue, taking and claiming are one step: a kill
        before it leaves the job as it was. Where a queue carried the id, its
        broker delivers the message again, or the job is sent again.
        """
        trap = deployment.trap("before_claim", signal.SIGKILL)
        killed = worker(trap=trap)
        record = deployment.write()
        deployment.gate().open()
        killed.wait()
        assert deployment.sprung(trap)
        assert (JobStatus.queued, 0) == _state(deployment, record.id)

        worker()

        deployment.done(record.id)
        assert 1 == deployment.fetch(record.id).attempt
        assert 1 == len(deployment.ledger().starts())

    def test_34_a_worker_is_killed_between_claim_and_start(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        34: killed after the claim, before the op ran: an attempt, settled by its lease.
        """
        trap = deployment.trap("after_claim", signal.SIGKILL)
        killed = worker(trap=trap)
        record = deployment.write(max_attempts=2)
        deployment.gate().open()
        killed.wait()
        assert (JobStatus.running, 1) == _state(deployment, record.id)

        worker()

        deployment.done(record.id)
        assert 2 == deployment.fetch(record.id).attempt
        assert 1 == len(deployment.ledger().starts())

    def test_35_a_worker_is_killed_between_commit_and_acknowledgement(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        35: the job stays done, and whoever meets it again skips it.
        """
        trap = deployment.trap("after_commit", signal.SIGKILL)
        killed = worker(trap=trap)
        record = deployment.write()
        deployment.gate().open()
        killed.wait()
        done = deployment.peek(record.id)
        assert JobStatus.done is done.status

        worker()
        deployment.serves()
        deployment.lease_over()

        assert RunOutcome.SKIPPED_DUPLICATE is deployment.deliver(record.id)
        assert attempt_facts(done) == attempt_facts(deployment.fetch(record.id))
        assert 1 == len(deployment.ledger().starts())

    def test_36_a_worker_that_slept_through_its_lease_commits_nothing(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        36: when it wakes, the new attempt's story goes on as if it were not there.
        """
        sleeper = worker()
        record = deployment.write(max_attempts=2)
        first = deployment.started()
        sleeper.stop()
        worker()
        second = deployment.started(times=2)

        deployment.gate().open(first)
        sleeper.cont()
        # The other worker is busy: the one that slept takes this job, and has
        # therefore dealt with the attempt that it lost.
        woken = deployment.serves()

        running = deployment.fetch(record.id)
        assert (JobStatus.running, 2) == _state(deployment, record.id)
        assert woken.worker != running.worker
        deployment.gate().open(second)
        assert second == deployment.done(record.id)
        assert 2 == deployment.fetch(record.id).attempt
        assert [second] == _committed(deployment, record.id)

    def test_36_a_worker_wakes_after_the_new_attempt_has_ended(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        36: nor does it change a result that is there already.
        """
        sleeper = worker()
        record = deployment.write(max_attempts=2)
        first = deployment.started()
        sleeper.stop()
        other = worker()
        second = deployment.started(times=2)
        deployment.gate().open(second)
        assert second == deployment.done(record.id)
        done = deployment.fetch(record.id)

        other.kill_tree()
        deployment.gate().open(first)
        sleeper.cont()
        deployment.serves()

        assert attempt_facts(done) == attempt_facts(deployment.fetch(record.id))

    def test_37_an_op_that_holds_the_interpreter_is_not_lost(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        37: an op that lets no other Python code run for three leases is done, once.
        """
        if "warm" not in deployment.pool.capabilities.isolation:
            not_declared("isolation warm")
        worker()
        seconds = 3 * deployment.bounds.lease
        record = deployment.submit("gilhog", deployment.task(seconds=seconds), max_attempts=2)

        assert seconds == deployment.done(record.id)
        assert 1 == deployment.fetch(record.id).attempt
        assert 1 == len(deployment.ledger().starts())


def attempt_facts(record: object) -> tuple[object, ...]:
    """
    What no late-comer may change of a finished job.
    """
    names = ("status", "reason", "value_json", "attempt", "token", "worker", "finished_at")
    return tuple(getattr(record, name) for name in names)


def _state(deployment: Deployment, job_id: str) -> tuple[JobStatus, int]:
    record = deployment.peek(job_id)
    return record.status, record.attempt


def _committed(deployment: Deployment, job_id: str) -> list[object]:
    assert 1 == deployment.states(job_id).count(JobStatus.done)
    return [deployment.peek(job_id).value]


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
