"""
Several served web processes over one store: any of them, at any time, gives the same answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest

from chariots_core.jobs import JobStatus, Reason
from chariots_core.testing.conformance.fixtures import KitFixtures
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.processes import Workers, alive
from chariots_core.testing.conformance.submit_lookup import NO_IDS
from chariots_core.testing.conformance.web import Web

pytestmark = pytest.mark.crash

JOBS = 50


class TestWebProcesses(KitFixtures):
    """
    Servers started by the command line, as an operator starts them.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def settings(cls, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
        """
        The backend `local` on a file of its own.
        """
        store = tmp_path_factory.mktemp("store") / "jobs.db"
        return {"backend": "local", "url": f"sqlite:///{store}"}

    @pytest.fixture(scope="class")
    @classmethod
    def pair(cls, _shared: Deployment) -> Iterator[tuple[Web, Web]]:
        """
        Two servers beside the shared workers.
        """
        first, second = _shared.web(), _shared.web()
        yield first, second
        first.close()
        second.close()

    @pytest.mark.parametrize("job_id", NO_IDS, ids=range(len(NO_IDS)))
    def test_an_unknown_id_is_404(
        self, serving: Deployment, pair: tuple[Web, Web], job_id: str
    ) -> None:
        """
        11: unknown, malformed, empty, huge and hostile ids are 404 on the old route and the new.
        """
        new = pair[0].get(f"/api/v1/jobs/{quote(job_id, safe='')}")
        old = pair[0].post("/jobs/fetch/", json={"job_id": job_id})

        assert (404, 404) == (new.status_code, old.status_code), (new.text[:300], old.text[:300])

    @pytest.mark.parametrize("job_id", [None, 5, True, ["a"], {"a": 1}], ids=str)
    def test_an_id_that_is_no_text_is_refused(
        self, serving: Deployment, pair: tuple[Web, Web], job_id: Any
    ) -> None:
        """
        11: an id of another type is the caller's mistake, never the server's.
        """
        answer = pair[0].post("/jobs/fetch/", json={"job_id": job_id})

        assert answer.status_code in (400, 404, 422), answer.text

    def test_two_servers_tell_the_same_of_every_job(
        self, serving: Deployment, pair: tuple[Web, Web]
    ) -> None:
        """
        12: what one of two servers accepted, the other tells, byte for byte, 50 jobs interleaved.
        """
        with ThreadPoolExecutor(8) as threads:
            jobs = list(threads.map(lambda n: pair[n % 2].submit("echo", {"n": n}), range(JOBS)))
        assert JOBS == len(set(jobs))
        for number, job_id in enumerate(jobs):
            assert {"n": number} == serving.done(job_id)

        for number, job_id in enumerate(jobs):
            told = [web.get(f"/api/v1/jobs/{job_id}").json() for web in pair]
            assert told[0] == told[1]
            assert ("done", {"n": number}) == (told[0]["status"], told[0]["output"])

    def test_an_answer_survives_the_restart_of_all_servers(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        12: nothing that a server answers is kept in the server.
        """
        web = deployment.web()
        worker()
        job_id = web.submit("echo", "kept")
        deployment.done(job_id)
        before = web.get(f"/api/v1/jobs/{job_id}").json()

        web.kill_tree()

        assert before == deployment.web().get(f"/api/v1/jobs/{job_id}").json()

    def test_processes_behind_one_port_agree(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        12: with several processes and threads behind one port, each request may hit any of them.
        """
        web = deployment.web(arguments=["--processes", "2", "--threads", "4"])
        worker()
        with ThreadPoolExecutor(16) as threads:
            jobs = list(threads.map(lambda n: web.submit("echo", n), range(JOBS)))
            for job_id in jobs:
                deployment.done(job_id)
            told = list(threads.map(lambda job: web.get(f"/api/v1/jobs/{job}").json(), jobs * 4))

        assert [*range(JOBS)] * 4 == [job["output"] for job in told]

    def test_two_servers_and_a_worker_settle_a_lost_job_once(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        43: the ticks of two servers and a worker make one transition of a lost job, and one run.
        """
        deployment.web()
        deployment.web()
        killed = worker()
        record = deployment.write(max_attempts=2)
        deployment.started()
        killed.kill_tree()

        worker()
        deployment.started(times=2)
        deployment.gate().open()
        deployment.until(
            lambda: deployment.peek(record.id).status is JobStatus.done, "the retry ends"
        )

        lost = [e for e in deployment.events(record.id) if e.reason == Reason.RETRYING]
        assert 1 == len(lost)
        assert 2 == len(deployment.ledger().starts())

    def test_whatever_process_is_killed_comes_back(self, deployment: Deployment) -> None:
        """
        30: kill -9 of any process below the server: requests are answered and jobs run again.
        """
        web = deployment.web(arguments=["--processes", "2", "--job-workers", "1"])
        deployment.done(web.submit("echo", 0))
        victims = web.children
        assert len(victims) >= 3

        for number, victim in enumerate(victims):
            # One may have died with another, as a worker's child does.
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(victim).kill()
            deployment.until(lambda pid=victim: not alive(pid), "it dies")  # type: ignore[misc]
            job_id = deployment.submit("echo", number).id
            assert number == deployment.done(job_id)
            deployment.until(
                lambda job=job_id: _tells(web, job),  # type: ignore[misc]
                "the web tells of it",
            )
        assert web.lives

    def test_a_server_that_is_stopped_finishes_what_it_does(self, deployment: Deployment) -> None:
        """
        46: SIGTERM of the server: its worker's job comes to its end, exit code 0, nothing is left.
        """
        web = deployment.web(arguments=["--job-workers", "1"])
        job_id = web.submit("write", deployment.task())
        deployment.started()
        family = web.pids

        web.term()
        deployment.gate().open()

        assert 0 == web.wait(deployment.bounds.deadline)
        assert JobStatus.done is deployment.peek(job_id).status
        deployment.until(lambda: not any(alive(pid) for pid in family), "nothing is left")

    def test_workers_beside_the_server_end_with_it(self, deployment: Deployment) -> None:
        """
        61: ``--job-workers`` runs jobs, and kill -9 of the server leaves no worker behind.
        """
        web = deployment.web(arguments=["--job-workers", "1"])
        assert "here" == deployment.done(web.submit("echo", "here"))
        assert 1 == len(deployment.store.workers())
        family = web.pids

        web.kill9()

        deployment.until(
            lambda: not any(alive(pid) for pid in family),
            "workers and servers end",
            deployment.bounds.deadline,
        )


def _tells(web: Web, job_id: str) -> bool:
    """
    Whether the server answers for a job; one that is just being replaced may not.
    """
    try:
        return web.get(f"/api/v1/jobs/{job_id}").status_code == 200
    except httpx.TransportError:
        return False
