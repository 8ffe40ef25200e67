"""
Behaviour 68: what a job trained is published by its commit, once, or not at all.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from chariots_core.jobs import JobStatus, Reason
from chariots_core.jobs.lifecycle import request_cancel
from chariots_core.testing.conformance.behaviours import basic
from chariots_core.testing.conformance.fixtures import KitFixtures
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.processes import Workers

#: The op that the pipeline ``train`` trains.
OP = "train"


class Training(KitFixtures):
    """
    Trainings.
    """

    @basic
    def test_68_a_training_that_succeeds_is_published_once(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        68: a training that ends well has published one version when it reads done.
        """
        before = registered(deployment)
        worker()
        record = deployment.submit("train", deployment.task())
        deployment.gate().open()

        deployment.done(record.id)

        assert 1 == len(versions(deployment) - before)

    def test_68_a_lost_attempt_publishes_nothing_and_its_retry_does_once(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        68: a training whose worker is killed leaves no version; the next attempt leaves one.
        """
        before = registered(deployment)
        killed = worker()
        record = deployment.submit("train", deployment.task(), max_attempts=2)
        deployment.started()
        killed.kill_tree()
        deployment.until(
            lambda: deployment.fetch(record.id).status is JobStatus.queued, "the job is retried"
        )
        assert before == versions(deployment)

        deployment.gate().open()
        worker()

        deployment.done(record.id)
        assert 1 == len(versions(deployment) - before)

    def test_68_a_stale_attempt_publishes_nothing(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        68: a training that slept through its lease adds no version to the retry's one.
        """
        before = registered(deployment)
        sleeper = worker()
        record = deployment.submit("train", deployment.task(), max_attempts=2)
        deployment.started()
        sleeper.stop()
        worker()
        second = deployment.started(times=2)
        deployment.gate().open(second)
        deployment.done(record.id)
        after = versions(deployment)

        deployment.gate().open()
        sleeper.cont()
        busy = deployment.write("busy")
        also = deployment.write("busy")
        deployment.started("busy", times=2)

        assert after == versions(deployment)
        assert 1 == len(after - before)
        deployment.gate("busy").open()
        for job in (busy, also):
            deployment.done(job.id)
        assert after == versions(deployment)

    def test_68_a_kill_before_the_publication_only_delays_it(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        68: killed between commit and publication: the job reads running, without its
        value, until a tick, anywhere, has published; then it is done.
        """
        before = registered(deployment)
        trap = deployment.trap("before_publish", signal.SIGKILL)
        killed = worker(trap=trap)
        record = deployment.submit("train", deployment.task())
        deployment.gate().open()
        killed.wait()
        assert deployment.sprung(trap)
        left = deployment.peek(record.id)
        assert (JobStatus.running, Reason.PUBLISHING) == (left.status, left.reason)
        assert (None, {}) == (left.shown.value, left.shown.versions)
        assert before == versions(deployment)
        cancelled = request_cancel(deployment.store, record.id)
        assert (left, False) == (cancelled, cancelled.cancel_requested)

        elsewhere = deployment.remote()

        def is_done() -> bool:
            elsewhere.call("tick_for", seconds=0.0)
            seen = deployment.peek(record.id)
            if seen.status is JobStatus.done:
                return True
            assert (JobStatus.running, Reason.PUBLISHING) == (seen.status, seen.reason)
            return False

        deployment.until(is_done, "the job is done")
        done = deployment.peek(record.id)
        assert (left.value_json, 1) == (done.value_json, done.attempt)
        assert not done.is_unpublished
        assert 1 == len(versions(deployment) - before)
        elsewhere.call("tick_for", seconds=0.2)
        assert 1 == len(versions(deployment) - before)


def registered(deployment: Deployment) -> set[int]:
    """
    The same, once the app's first versions are there.
    """
    deployment.app.open()
    return versions(deployment)


def versions(deployment: Deployment) -> set[int]:
    """
    The savings of the trained op that the op store has, each by its number.
    """
    return {saving.seq for saving in deployment.app.op_store.savings(OP)}
