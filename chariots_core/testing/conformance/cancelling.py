"""
Behaviours 51 and 52: a job that somebody asked to end does.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chariots_core.jobs import JobStatus, Reason
from chariots_core.jobs.lifecycle import request_cancel
from chariots_core.testing.conformance.behaviours import basic
from chariots_core.testing.conformance.fixtures import KitFixtures, needs
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.processes import Workers, alive


class Cancelling(KitFixtures):
    """
    Cancelled jobs.
    """

    @basic
    def test_51_a_cancelled_job_never_runs(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        51: a queued job is cancelled at once, as often as one asks, and no worker runs it.
        """
        needs(deployment, "cancel_queued")
        record = deployment.write()
        deployment.gate().open()

        first, second = (request_cancel(deployment.store, record.id) for _ in range(2))
        worker()
        deployment.serves()

        assert (JobStatus.failed, Reason.CANCELLED, 0) == (
            first.status,
            first.reason,
            first.attempt,
        )
        assert first == second == deployment.fetch(record.id)
        assert [] == deployment.ledger().starts()

    def test_51_a_deferred_job_is_cancelled(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        51: nor does a scheduled job start that was cancelled before its time.
        """
        needs(deployment, "cancel_queued")
        needs(deployment, "schedule")
        record = deployment.write(delay=0.5)
        deployment.gate().open()

        request_cancel(deployment.store, record.id)
        worker()
        deployment.lease_over()

        assert Reason.CANCELLED == deployment.fetch(record.id).reason
        assert [] == deployment.ledger().starts()

    @basic
    def test_51_it_is_too_late_for_a_job_that_is_done(self, serving: Deployment) -> None:
        """
        51: a job that is over stays as it is.
        """
        needs(serving, "cancel_queued")
        done = serving.serves()

        assert done == request_cancel(serving.store, done.id) == serving.fetch(done.id)

    @basic
    @pytest.mark.parametrize("pipeline", ["spawnchild", "gilhog"])
    def test_52_a_running_job_is_ended(
        self, deployment: Deployment, worker: Callable[..., Workers], pipeline: str
    ) -> None:
        """
        52: whatever a running op does, it is gone within the bound, is not retried, and its
        worker takes the next job.
        """
        needs(deployment, "cancel_hard")
        worker()
        attempts = 3 if deployment.pool.capabilities.retry else 1
        task = deployment.task(seconds=60.0)
        record = deployment.submit(pipeline, task, max_attempts=attempts)
        pids = {deployment.started()}
        if pipeline == "spawnchild":
            pids.add(deployment.ledger().starts()[0].note)

        request_cancel(deployment.store, record.id)

        bound = deployment.bounds.crash_detection
        cancelled = deployment.failed(record.id, Reason.CANCELLED, bound)
        deployment.until(lambda: not any(alive(pid) for pid in pids), "op and child end", bound)
        assert 1 == cancelled.attempt == len(deployment.ledger().starts())
        assert cancelled.worker == deployment.serves().worker
