"""
Behaviours 46 to 50: workers stop without losing what they hold, and are seen to be gone.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from chariots_core.jobs import JobStatus, Reason
from chariots_core.testing.conformance.behaviours import basic
from chariots_core.testing.conformance.fixtures import KitFixtures
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.processes import Workers, alive

#: Seconds in which another worker takes over what a stopping one had not started.
TAKEOVER = 2.0


class Shutdown(KitFixtures):
    """
    Ends of workers.
    """

    def test_46_a_stopping_worker_finishes_its_job(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        46: SIGTERM while busy: the job ends well, no other is taken, the exit code is 0.
        """
        started = worker()
        busy = deployment.write()
        deployment.started()
        next_job = deployment.submit("echo", "next")

        started.term()
        deployment.until(
            lambda: [w.state for w in deployment.store.workers()] == ["stopping"],
            "the worker says that it stops",
        )
        deployment.gate().open()

        assert [0] == started.wait()
        assert JobStatus.done is deployment.peek(busy.id).status
        assert (JobStatus.queued, 0) == _state(deployment, next_job.id)

    @basic
    def test_46_an_idle_worker_stops_at_once(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        46: SIGTERM while idle: exit code 0, and nothing is left of the worker.
        """
        started = worker().wait_ready()
        deployment.serves()
        pids = started.pids

        started.term()

        assert [0] == started.wait(deployment.bounds.crash_detection)
        deployment.until(lambda: not any(alive(pid) for pid in pids), "no process is left")

    def test_47_a_worker_stops_between_dequeue_and_start(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        47: SIGTERM right after the claim: the job is returned or done, and runs once.
        """
        trap = deployment.trap("after_claim", signal.SIGTERM)
        stopped = worker(trap=trap)
        record = deployment.write()
        deployment.gate().open()

        assert [0] == stopped.wait()
        assert deployment.sprung(trap)
        assert deployment.peek(record.id).status in (JobStatus.queued, JobStatus.done)

        worker()
        deployment.done(record.id)
        assert 1 == deployment.fetch(record.id).attempt
        assert 1 == len(deployment.ledger().starts())

    def test_48_a_second_signal_ends_a_worker_now(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        48: two SIGTERMs: the job is lost or returned by policy, the exit code is not 0.
        """
        started = worker()
        record = deployment.write()
        pid = deployment.started()

        started.term()
        deployment.until(
            lambda: [w.state for w in deployment.store.workers()] == ["stopping"],
            "the worker says that it stops",
        )
        started.term()

        assert [0] != started.wait(deployment.bounds.crash_detection)
        deployment.until(lambda: not alive(pid), "the op is ended")
        self._settled_after_stop(deployment, record.id)

    def test_48_a_worker_ends_when_its_grace_is_over(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        48: a job that outlives the grace is lost or returned by policy, exit code not 0.
        """
        started = worker(grace=0.5)
        record = deployment.write()
        deployment.started()

        started.term()

        assert [0] != started.wait(0.5 + deployment.bounds.crash_detection)
        self._settled_after_stop(deployment, record.id)

    def test_48_with_attempts_left_the_next_worker_has_it(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        48: a job with attempts left that was ended by a stop runs again elsewhere.
        """
        started = worker(grace=0.5)
        record = deployment.write(max_attempts=3)
        deployment.started()
        started.term()
        started.wait(0.5 + deployment.bounds.crash_detection)

        deployment.gate().open()
        worker()

        deployment.done(record.id)
        assert 2 == len(deployment.ledger().starts())
        assert 1 == len(deployment.ledger().finishes())

    def test_49_what_a_stopping_worker_did_not_start_is_taken_over(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        49: jobs behind a stopping worker's own are started by another within 2 s.
        """
        stopping = worker()
        deployment.write("held")
        deployment.started("held")
        deployment.gate("waiting").open()
        waiting = [deployment.write("waiting") for _ in range(3)]
        other = worker().wait_ready()

        stopping.term()

        for record in waiting:
            deployment.done(record.id, TAKEOVER * deployment.bounds.scale)
        taken = {deployment.fetch(record.id).worker for record in waiting}
        assert taken == {w.id for w in deployment.store.workers() if w.pid in other.pids}
        deployment.gate("held").open()
        assert [0] == stopping.wait()

    def test_50_a_worker_that_is_gone_is_not_listed(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        50: killed workers leave the list within the bound, stopped ones at once.
        """
        killed, stopped = worker().wait_ready(), worker().wait_ready()
        assert 2 == len(deployment.store.workers())

        stopped.term()
        stopped.wait()
        assert 1 == len(deployment.store.workers())
        killed.kill_tree()

        deployment.until(
            lambda: not deployment.store.workers(),
            "no worker is listed",
            deployment.bounds.crash_detection,
        )
        assert 0 == deployment.pool.n_workers

    def test_50_only_workers_are_listed_each_with_an_id_of_its_own(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        50: web processes are no workers, and a restarted worker is a new one.
        """
        web = deployment.web()
        web.submit("echo", 1)
        assert [] == list(deployment.store.workers())

        first = worker().wait_ready()
        (before,) = deployment.store.workers()
        first.term()
        first.wait()
        worker().wait_ready()
        (after,) = deployment.store.workers()

        assert before.id != after.id
        assert deployment.pool.name == after.backend

    def _settled_after_stop(self, deployment: Deployment, job_id: str) -> None:
        """
        Check that a job which its worker could not finish is failed, or waits for another.
        """
        record = deployment.fetch(job_id)
        if record.status is JobStatus.failed:
            assert record.reason in (Reason.WORKER_LOST, Reason.WORKER_STOPPED)
        else:
            assert record.status in (JobStatus.queued, JobStatus.deferred), deployment.story()
        assert [] == deployment.ledger().finishes()


def _state(deployment: Deployment, job_id: str) -> tuple[JobStatus, int]:
    record = deployment.peek(job_id)
    return record.status, record.attempt
