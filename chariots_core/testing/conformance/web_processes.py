"""
Behaviours 12 and 45 together: many web processes, one of which goes and comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from chariots_core.jobs import JobStatus
from chariots_core.testing.conformance.fixtures import KitFixtures
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.processes import Workers


class WebProcesses(KitFixtures):
    """
    What clients see of jobs, whichever process they talk to.

    Attributes:
        web_jobs: how many jobs.
    """

    web_jobs: ClassVar[int] = 500

    def test_12_jobs_of_many_web_processes_outlive_a_restart(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        12: two servers of two processes each, one of them killed and started again
        in between: every job that was answered for is known to all, and done once.
        """
        processes = ("--processes=2",)
        first, second = deployment.web(arguments=processes), deployment.web(arguments=processes)
        worker(2)
        jobs: dict[str, int] = {}
        for number in range(self.web_jobs):
            if number == self.web_jobs // 2:
                first.kill_tree()
                first = deployment.web(arguments=processes)
            web = first if number % 2 else second
            jobs[web.submit("echo", number)] = number

        for web in (first, second):
            for job_id in jobs:
                answer = web.get(f"/api/v1/jobs/{job_id}")
                assert 200 == answer.status_code, answer.text
        deployment.until(
            lambda: all(deployment.peek(job_id).status.is_final for job_id in jobs),
            "every job ends",
        )
        values = {job_id: second.get(f"/api/v1/jobs/{job_id}").json()["output"] for job_id in jobs}
        assert jobs == values
        commits = [deployment.states(job_id).count(JobStatus.done) for job_id in jobs]
        assert [1] * self.web_jobs == commits
