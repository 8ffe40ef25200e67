"""
Behaviours 51 to 58, as far as a job's options go: what was asked of a job is what it gets.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from chariots_core.errors import JobNotFound
from chariots_core.jobs import JobStatus, Reason
from chariots_core.testing.conformance.fixtures import KitFixtures, needs
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.processes import Workers, alive

#: Seconds by which a job may be late, scaled; it may never be early.
TOLERANCE = 3.0


class Options(KitFixtures):
    """
    Options of jobs.
    """

    @pytest.mark.parametrize("pipeline", ["sleep", "gilhog"])
    def test_53_a_job_over_its_time_is_ended(
        self, deployment: Deployment, worker: Callable[..., Workers], pipeline: str
    ) -> None:
        """
        53: an op that sleeps, or holds the interpreter in C, is ended; the next job is fine.
        """
        needs(deployment, "timeout_hard")
        worker()
        value = 60.0 if pipeline == "sleep" else deployment.task(seconds=60.0)
        record = deployment.submit(pipeline, value, timeout=0.5)

        failed = deployment.failed(record.id, Reason.TIMEOUT, deployment.bounds.crash_detection)

        assert failed.worker == deployment.serves().worker

    def test_53_what_an_op_started_ends_with_it(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        53: the processes of an op over its time are ended too.
        """
        needs(deployment, "timeout_hard")
        worker()
        record = deployment.submit("spawnchild", deployment.task(), timeout=0.5)
        deployment.started()
        (started,) = deployment.ledger().starts()

        deployment.failed(record.id, Reason.TIMEOUT, deployment.bounds.crash_detection)

        deployment.until(lambda: not alive(started.note), "the op's own process ends")

    def test_54_retries_keep_their_distance(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        54: a failing job is deferred between its attempts, longer each time, and keeps its error.
        """
        needs(deployment, "retry")
        worker()
        record = deployment.submit("fail", "soup", max_attempts=3, retry_delay=0.3)

        failed = deployment.failed(record.id, Reason.USER_ERROR)

        started = [
            event.at
            for event in deployment.events(record.id)
            if event.kind == "state" and event.status is JobStatus.running
        ]
        first, second = [(after - before).total_seconds() for before, after in pairwise(started)]
        assert first >= 0.3
        assert second >= 0.6
        assert 2 == deployment.states(record.id).count(JobStatus.deferred)
        assert failed.error is not None
        assert (3, "the kit refuses 'soup'") == (failed.attempt, failed.error.message)

    def test_54_what_cannot_get_better_is_not_retried(self, serving: Deployment) -> None:
        """
        54: a result that JSON cannot carry fails the job at once, whatever attempts are left.
        """
        needs(serving, "retry")
        record = serving.submit("notjson", "nan", max_attempts=3)

        assert 1 == serving.failed(record.id, Reason.RESULT_NOT_SERIALIZABLE).attempt

    def test_55_a_scheduled_job_starts_in_time(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        55: not before its time, soon after it, and over the restart of every worker.
        """
        needs(deployment, "schedule")
        first = worker().wait_ready()
        record = deployment.submit("echo", "on time", delay=1.5)
        assert (JobStatus.deferred, Reason.SCHEDULED) == (record.status, record.reason)
        first.kill_tree()
        worker()

        deployment.done(record.id)

        done = deployment.fetch(record.id)
        assert done.started_at is not None
        waited = (done.started_at - done.created_at).total_seconds()
        assert 1.5 <= waited <= 1.5 + TOLERANCE * deployment.bounds.scale

    def test_56_higher_priorities_start_first(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        56: while the only worker is busy, what waits is ordered by priority, then by submission.
        """
        needs(deployment, "priorities")
        worker()
        held = deployment.write("held")
        deployment.started("held")
        deployment.gate("order").open()
        asked = [(0, "low 1"), (5, "high 1"), (-5, "last"), (0, "low 2"), (5, "high 2")]
        jobs = [
            deployment.submit("write", deployment.task("order", note=note), priority=priority)
            for priority, note in asked
        ]

        deployment.gate("held").open()
        for job in (held, *jobs):
            deployment.done(job.id)

        expected = ["high 1", "high 2", "low 1", "low 2", "last"]
        assert expected == [entry.note for entry in deployment.ledger("order").starts()]

    def test_56_a_worker_takes_its_queues_only(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        56: a job in another queue waits for a worker of that queue.
        """
        needs(deployment, "queues")
        worker()
        record = deployment.submit("echo", "elsewhere", queue="special")
        deployment.serves()
        assert (JobStatus.queued, 0) == (
            deployment.fetch(record.id).status,
            deployment.fetch(record.id).attempt,
        )

        special = worker(queues=("special",)).wait_ready()

        deployment.done(record.id)
        taker = deployment.fetch(record.id).worker
        assert [taker] == [w.id for w in deployment.store.workers() if w.pid in special.pids]

    def test_57_a_record_is_kept_for_its_time(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        57: a final record is readable for its time, then unknown; a job under way is kept.
        """
        worker()
        short = deployment.submit("echo", "soon gone", result_ttl=1.0)
        assert deployment.finished(short.id).expires_at is not None
        held = deployment.write(result_ttl=0.2)
        deployment.started()
        waiting = deployment.submit("echo", "still to come", result_ttl=0.2)

        deployment.until(lambda: not self._is_known(deployment, short.id), "it is forgotten")

        deployment.app.tick()
        assert JobStatus.running is deployment.fetch(held.id).status
        assert JobStatus.queued is deployment.fetch(waiting.id).status
        deployment.gate().open()

    def test_57_a_job_that_nobody_starts_in_time_fails(self, deployment: Deployment) -> None:
        """
        57: without a worker, a job fails when its time in the queue is over.
        """
        record = deployment.submit("echo", 1, queue_timeout=0.5)

        assert 0 == deployment.failed(record.id, Reason.EXPIRED_IN_QUEUE).attempt

    def test_58_progress_is_seen_elsewhere(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        58: another process sees how far a running job is; the last report is kept after its end.
        """
        worker()
        elsewhere = deployment.remote()
        record = deployment.submit("steps", deployment.task(steps=100))
        deployment.started()

        def reported() -> bool:
            progress = elsewhere.call("fetch", job_id=record.id)["progress"]
            return progress is not None and progress["done"] == 99

        deployment.until(reported, "the report is seen")
        deployment.gate().open()
        deployment.done(record.id)

        progress = deployment.fetch(record.id).progress
        assert progress is not None
        assert (100, 100, "steps") == (progress.done, progress.total, progress.node)
        told = [e.data["done"] for e in deployment.events(record.id) if e.kind == "progress"]
        assert sorted(told) == told
        assert len(told) < 100

    def _is_known(self, deployment: Deployment, job_id: str) -> bool:
        try:
            return bool(deployment.fetch(job_id))
        except JobNotFound:
            return False
