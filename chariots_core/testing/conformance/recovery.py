"""
Behaviours 42 to 45 and 69 to 71: stores, clocks, servers and who settles what.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import psutil
import pytest

from chariots_core.errors import JobNotFound
from chariots_core.jobs import JobStatus, Reason
from chariots_core.testing.conformance import skewed_clock
from chariots_core.testing.conformance.behaviours import basic
from chariots_core.testing.conformance.fixtures import KitFixtures, not_declared
from chariots_core.testing.conformance.harness import Deployment, times
from chariots_core.testing.conformance.processes import Process, Workers

#: The share of one core that an idle process may use.
IDLE_SHARE = 0.01

#: How long an idle process is watched at a time, in seconds; not scaled: it is a share.
IDLE_WINDOW = 4.0

#: It is at rest in most of so many: the first may hold the end of a start, and a machine
#: that others share has a bad moment now and then.
IDLE_WINDOWS = 5

HOUR = 3600.0


class Recovery(KitFixtures):
    """
    Recovery from what happens around workers.
    """

    def test_42_the_store_restarts(
        self, deployment: Deployment, worker: Callable[..., Workers], store_server: Any
    ) -> None:
        """
        42: while the store is away the web says 503 and when to ask again; nothing is lost.
        """
        if store_server is None:
            not_declared("a job store whose server a test may stop")
        web = deployment.web()
        started = worker().wait_ready()
        finished, waiting = deployment.serves(), deployment.submit("echo", "later", delay=4.0)
        busy = deployment.write()
        deployment.started()

        store_server.stop()
        try:
            answer = web.get(f"/api/v1/jobs/{finished.id}")
            refused = web.post("/api/v1/pipelines/echo/runs", json={"input": 1, "use_worker": True})
            deployment.gate().open()
        finally:
            store_server.start()

        assert [503, 503] == [answer.status_code, refused.status_code], (answer.text, refused.text)
        assert int(answer.headers["Retry-After"]) >= 1
        # The id tells, once the store is back, whether the job was recorded after all.
        named = refused.json()["job_id"]
        deployment.until(
            lambda: web.get(f"/api/v1/jobs/{finished.id}").status_code == 200, "the web recovers"
        )
        assert web.get(f"/api/v1/jobs/{named}").status_code in (200, 404)
        assert finished == deployment.fetch(finished.id)
        # The op ended while the store was away: its result is committed, or the job is lost.
        ended = deployment.finished(busy.id)
        assert ended.status is JobStatus.done or ended.reason == Reason.WORKER_LOST
        assert "later" == deployment.done(waiting.id)
        deployment.serves()
        assert started.processes[0].popen.poll() is None

    def test_42_a_claim_that_the_store_did_not_answer_leaves_the_message(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        42: a job whose claim fails since the store is away is handed back: its message stays.
        """
        # Nobody sends it once more: only the message itself can bring the job to its end.
        deployment.pool.resend_after = None
        trap = deployment.trap("no_claim", 0)
        worker(trap=trap)

        record = deployment.submit("echo", "still there")

        assert "still there" == deployment.done(record.id)
        assert deployment.sprung(trap)
        assert (1, 1) == (deployment.fetch(record.id).attempt, record.generation)

    def test_43_two_reapers_settle_a_lost_job_once(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        43: several processes that settle one lost job make one transition, one event, one run.
        """
        killed = worker()
        record = deployment.write(max_attempts=2)
        deployment.started()
        reapers = [deployment.remote(), deployment.remote()]
        for reaper in reapers:
            reaper.call("ping")
        killed.kill_tree()

        for reaper in reapers:
            reaper.send("tick_for", seconds=2 * deployment.bounds.lease)
        worker()
        deployment.gate().open()
        deployment.done(record.id)

        assert all(reaper.receive() > 0 for reaper in reapers)
        lost = [e for e in deployment.events(record.id) if e.reason == Reason.RETRYING]
        assert 1 == len(lost), deployment.story()
        assert 2 == len(deployment.ledger().starts())
        final = deployment.fetch(record.id)
        assert (2, record.generation + 1) == (final.attempt, final.generation)

    @pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["ahead", "behind"])
    def test_44_the_clock_of_a_worker_is_wrong(
        self, deployment: Deployment, worker: Callable[..., Workers], seconds: float
    ) -> None:
        """
        44: a worker whose clock is an hour off loses no job, its own or another's.
        """
        worker().wait_ready()
        right = deployment.write("right", max_attempts=2)
        deployment.started("right")
        worker(launcher=skewed_clock.launcher(seconds)).wait_ready()
        skewed = deployment.write("skewed", max_attempts=2)
        deployment.started("skewed")

        deployment.lease_over(3.0)

        assert {JobStatus.running} == {deployment.fetch(j.id).status for j in (right, skewed)}
        assert 2 == len(deployment.store.workers())
        for name in ("right", "skewed"):
            deployment.gate(name).open()
        for job in (right, skewed):
            deployment.done(job.id)
            record = deployment.fetch(job.id)
            story = times(record)
            assert sorted(story) == story
            assert (story[-1] - story[0]).total_seconds() < HOUR / 2
            assert 1 == record.attempt

    def test_45_the_server_is_killed_after_its_answer(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        45: a job outlives the web process that accepted it, and is read elsewhere.
        """
        web = deployment.web()
        worker().wait_ready()

        job_id = web.submit("write", deployment.task())
        web.kill_tree()

        with pytest.raises(httpx.TransportError):
            web.get("/livez")
        # It cannot have ended before the server did.
        assert not deployment.fetch(job_id).status.is_final
        deployment.gate().open()
        executing = deployment.started()
        assert executing == deployment.done(job_id)
        body = deployment.web().get(f"/api/v1/jobs/{job_id}").json()
        assert ("done", 1, executing) == (body["status"], body["attempt"], body["output"])

    def test_69_a_worker_settles_what_nobody_looks_up(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        69: another worker settles a lost job, starts its retry, and starts what is due.
        """
        killed = worker()
        lost = deployment.write("lost")
        deployment.started("lost")
        retried = self._lose(deployment, worker, "retried", max_attempts=2, retry_delay=0.5)
        killed.kill_tree()

        deployment.gate("retried").open()
        scheduled = deployment.submit("echo", "in time", delay=1.0)
        worker()

        self._unseen(deployment, lost.id, JobStatus.failed)
        self._unseen(deployment, retried, JobStatus.done)
        self._unseen(deployment, scheduled.id, JobStatus.done)
        assert Reason.WORKER_LOST == deployment.peek(lost.id).reason
        assert 2 == len(deployment.ledger("retried").starts())
        assert JobStatus.deferred in deployment.states(retried)

    def test_69_a_server_settles_what_nobody_looks_up(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        69: without any worker, a web process that nobody asks settles a lost job.
        """
        deployment.web()
        killed = worker()
        record = deployment.write()
        deployment.started()

        killed.kill_tree()

        self._unseen(deployment, record.id, JobStatus.failed)
        assert Reason.WORKER_LOST == deployment.peek(record.id).reason

    @basic
    def test_70_apps_that_share_a_store_never_meet(
        self, deployment: Deployment, deploy: Callable[[], Deployment]
    ) -> None:
        """
        70: one app neither sees nor runs another's jobs, whatever else they share.
        """
        other = deploy()
        # A message that strangers take is not sent once more: its job would show it.
        deployment.pool.resend_after = None
        try:
            other.worker().wait_ready()
            mine, theirs = deployment.submit("echo", "mine"), other.submit("echo", "theirs")

            assert "theirs" == other.done(theirs.id)
            other.serves()
            other.app.tick()
            assert (JobStatus.queued, 0) == _state(deployment, mine.id)
            assert [] == list(deployment.store.workers())
            with pytest.raises(JobNotFound):
                other.fetch(mine.id)
            with pytest.raises(JobNotFound):
                deployment.fetch(theirs.id)
            deployment.worker()
            assert "mine" == deployment.done(mine.id)
        finally:
            other.close()

    @pytest.fixture
    def idle(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> tuple[Process, Process]:
        """
        A worker and a server that have served, and have nothing to do now.
        """
        web = deployment.web()
        started = worker().wait_ready()
        deployment.done(web.submit("echo", 1))
        return started.processes[0], web

    def test_71_idle_processes_rest(self, idle: tuple[Process, Process]) -> None:
        """
        71: an idle worker and an idle server use under 1 % of a core each, children included.
        """
        seen: list[list[float]] = []
        at_rest: list[bool] = []
        most = IDLE_WINDOWS // 2 + 1
        while most not in (at_rest.count(True), at_rest.count(False)):
            seen.append(_idle_shares(idle))
            at_rest.append(max(seen[-1]) < IDLE_SHARE)

        assert at_rest.count(True) == most, f"shares of a core, worker and server: {seen}"

    def _lose(
        self,
        deployment: Deployment,
        worker: Callable[..., Workers],
        name: str,
        **options: Any,
    ) -> str:
        """
        Have a job started by a worker of its own, and kill that.
        """
        started = worker()
        record = deployment.write(name, **options)
        deployment.started(name)
        started.kill_tree()
        return record.id

    def _unseen(self, deployment: Deployment, job_id: str, status: JobStatus) -> None:
        """
        Wait for a status within the bound, by reads that settle nothing.
        """
        deployment.until(
            lambda: deployment.peek(job_id).status is status,
            f"{job_id} becomes {status.value} without being looked up",
            deployment.bounds.crash_detection + deployment.bounds.lease,
        )


def _idle_shares(processes: Sequence[Process]) -> list[float]:
    """
    The share of a core that each of some processes uses from now on, children included.
    """
    before = [_cpu_seconds(process.pids) for process in processes]
    began = time.monotonic()
    # Not by the store's clock: nobody but they may touch the store meanwhile.
    time.sleep(IDLE_WINDOW)
    took = time.monotonic() - began
    used = [_cpu_seconds(process.pids) for process in processes]
    return [(now - then) / took for now, then in zip(used, before, strict=True)]


def _cpu_seconds(pids: list[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(spent.user + spent.system for spent in times)


def _state(deployment: Deployment, job_id: str) -> tuple[JobStatus, int]:
    record = deployment.peek(job_id)
    return record.status, record.attempt
