"""
Serving: real processes, their births and deaths, behind one port.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from chariots_core.jobs import JobStatus
from chariots_core.jobs_sql import SqlJobStore
from tests.server.served import Served, children, descendants, signal_thread
from tests.support import port_open, process_alive, wait_until

RUNS = "/api/v1/pipelines/{}/runs"


def pid_of(served: Served) -> int:
    """
    The web process that answers.
    """
    return int(served.post(RUNS.format("who"), {"input": 0}).json()["output"])


def web_pids(served: Served) -> set[int]:
    """
    The web processes that answer, by asking until both have.
    """
    found: set[int] = set()

    def both() -> bool:
        found.add(pid_of(served))
        return len(found) == 2

    wait_until(both, timeout=20.0, message=lambda: f"two web processes, found {found}")
    return found


def gone(pids: list[int]) -> bool:
    """
    Whether none of the processes is left.
    """
    return not any(process_alive(pid) for pid in pids)


def test_it_says_where_it_is_and_leaves_nothing(tmp_path: Path) -> None:
    """
    It prints a free port once requests are taken, and on SIGTERM all of it ends, with code 0.
    """
    with Served(tmp_path, job_workers=1) as served:
        assert 200 == served.get("/readyz").status_code
        family = served.family()

        assert 0 == served.stop(), served.output

        assert len(family) >= 5
        wait_until(lambda: gone(family), message=lambda: str(list(filter(process_alive, family))))


@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupt_ends_it(tmp_path: Path, processes: int) -> None:
    """
    Ctrl-C ends it like SIGTERM.
    """
    with Served(tmp_path, processes=processes) as served:
        family = served.family()

        assert 0 == served.stop(signal.SIGINT), served.output

        wait_until(lambda: gone(family), message="the end of all processes")


@pytest.mark.parametrize("who", ["parent", "web process"])
def test_a_signal_to_a_process_that_sleeps_is_not_overlooked(tmp_path: Path, who: str) -> None:
    """
    A signal that does not reach the main thread, which alone runs Python's handlers, ends a
    web process and the parent of them as well.
    """
    with Served(tmp_path, processes=1) as served:
        (parent,) = children(served.process.pid)
        pid = parent if who == "parent" else pid_of(served)
        other = max(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())
        assert pid != other

        signal_thread(pid, other, signal.SIGTERM)

        wait_until(lambda: gone([pid]), message=f"the end of the {who}")


SLOW_TO_BEGIN = """
import os, time
from pathlib import Path
from chariots_core.server import PipelinesServer
from chariots_core.testing import TestOpStoreClient

folder = Path(os.environ["SERVED_APP_FOLDER"])
app = PipelinesServer([], op_store_client=TestOpStoreClient(folder / "ops"), import_name="slow")
opened = app.chariots.open


def open_slowly():
    opened()
    with (folder / "opened").open("a") as file:
        file.write("x")
    # The parent and the first web process are quick; the second one is not.
    if (folder / "opened").stat().st_size > 2:
        time.sleep(60)


app.chariots.open = open_slowly
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_has_not_begun_ends_too(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A web process that is still loading when the server is told to stop holds up nothing.
    """
    (tmp_path / "slow_to_begin.py").write_text(SLOW_TO_BEGIN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Served(tmp_path, app="slow_to_begin:app", processes=2) as served:
        family = served.family()
        opened = tmp_path / "opened"
        wait_until(lambda: opened.stat().st_size == 3, message=lambda: served.output)

        assert 0 == served.stop(number), served.output
        wait_until(lambda: gone(family), message="the end of all processes")


def test_two_processes_give_the_same_answers(tmp_path: Path) -> None:
    """
    A model that one web process trained is saved, loaded and served by both.
    """
    with Served(tmp_path) as served:
        assert 2 == len(web_pids(served))
        assert 200 == served.post(RUNS.format("train"), {"input": 7.0}).status_code
        assert 201 == served.post("/api/v1/pipelines/train/save", {}).status_code
        assert 200 == served.post("/api/v1/pipelines/predict/load", {}).status_code

        def answers() -> set[float]:
            calls = [served.post(RUNS.format("predict"), {"input": 2.0}) for _ in range(12)]
            return {call.json()["output"] for call in calls}

        wait_until(lambda: answers() == {14.0}, timeout=5.0, message=lambda: str(answers()))


def test_jobs_run_beside_it(tmp_path: Path) -> None:
    """
    The workers beside the server run what any web process has accepted.
    """
    with Served(tmp_path, job_workers=2) as served, ThreadPoolExecutor(8) as threads:

        def submit(number: int) -> str:
            response = served.post(RUNS.format("echo"), {"input": number, "use_worker": True})
            return str(response.json()["job"]["id"])

        jobs = list(threads.map(submit, range(20)))

        def done() -> bool:
            bodies = [served.get(f"/api/v1/jobs/{job}").json() for job in jobs]
            return [body.get("output") for body in bodies] == list(range(20))

        wait_until(done, timeout=20.0, message=lambda: served.output)


def test_a_pool_starts_its_workers_itself(tmp_path: Path) -> None:
    """
    Where a pool says how its workers begin, the workers beside the server begin so.
    """
    with Served(tmp_path, app="tests.own_workers_app:app", processes=1, job_workers=2) as served:
        response = served.post(RUNS.format("echo"), {"input": 1, "use_worker": True})
        job = response.json()["job"]["id"]
        wait_until(lambda: served.get(f"/api/v1/jobs/{job}").json().get("output") == 1)
        pids = [int(line) for line in (tmp_path / "workers").read_text().splitlines()]

        assert 2 == len(pids)
        assert set(pids) <= set(children(served.process.pid))
        assert 0 == served.stop(), served.output

    wait_until(lambda: gone(pids), message="the end of the workers")


def test_workers_that_the_backend_does_not_have(tmp_path: Path) -> None:
    """
    Workers beside the server are refused at its start, where the backend has none.
    """
    served = Served(tmp_path, app="tests.own_workers_app:without", job_workers=1)

    assert 1 == served.process.wait(timeout=30)
    assert "UnsupportedCapability" in served.output
    assert "does not declare the capability 'spawn'" in served.output


@pytest.mark.crash
def test_a_killed_web_process_is_replaced(tmp_path: Path) -> None:
    """
    When a web process is killed the other one answers, and a new one takes its place.
    """
    with Served(tmp_path) as served:
        before = web_pids(served)
        killed = before.pop()

        os.kill(killed, signal.SIGKILL)

        def replaced() -> bool:
            return killed not in (now := web_pids(served)) and len(now) == 2

        wait_until(replaced, timeout=20.0, message=lambda: served.output)


@pytest.mark.crash
def test_a_killed_server_is_replaced(tmp_path: Path) -> None:
    """
    When the parent of the web processes is killed they end with it, and all are started anew.
    """
    with Served(tmp_path) as served:
        before = web_pids(served)
        (master,) = children(served.process.pid)

        os.kill(master, signal.SIGKILL)

        wait_until(lambda: gone([master, *before]), message="the end of the web processes")

        def answers() -> bool:
            try:
                return served.get("/livez").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(answers, timeout=20.0, message=lambda: served.output)
        assert not before & web_pids(served)


@pytest.mark.crash
def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    """
    When a worker is killed another one takes the next job.
    """
    with Served(tmp_path, processes=1, job_workers=1) as served:

        def run() -> int:
            response = served.post(RUNS.format("who"), {"input": 0, "use_worker": True})
            path = response.headers["Location"]

            def result() -> int | None:
                output: int | None = served.get(path).json().get("output")
                return output

            return int(wait_until(result, timeout=20.0, message=lambda: served.output) or 0)

        child = run()
        (worker,) = [pid for pid in children(served.process.pid) if child in descendants(pid)]

        os.kill(worker, signal.SIGKILL)

        assert child != run()


@pytest.mark.crash
def test_a_killed_parent_takes_all_along(tmp_path: Path) -> None:
    """
    When the first process is killed, none of the others is left, and nobody listens.
    """
    with Served(tmp_path, job_workers=1) as served:
        family = served.family()

        os.kill(served.process.pid, signal.SIGKILL)
        served.process.wait()

        wait_until(lambda: gone(family), message=lambda: str(list(filter(process_alive, family))))
        # a process that had just begun when they were counted may hold the port a little longer
        port = int(served.url.rpartition(":")[2])
        wait_until(lambda: not port_open("127.0.0.1", port), message="the end of the port")


@pytest.mark.crash
def test_jobs_outlive_the_server(tmp_path: Path) -> None:
    """
    A job that was accepted before all was killed is told, and run, after a restart.
    """
    with Served(tmp_path) as served:
        response = served.post(RUNS.format("echo"), {"input": 5, "use_worker": True})
        path = response.headers["Location"]
        before = served.get(path).json()
        os.kill(served.process.pid, signal.SIGKILL)
        served.process.wait()

    with Served(tmp_path, job_workers=1) as served:
        assert before["created_at"] == served.get(path).json()["created_at"]

        wait_until(
            lambda: served.get(path).json().get("output") == 5, message=lambda: served.output
        )


def test_a_run_under_way_is_answered_at_the_end(tmp_path: Path) -> None:
    """
    A request that is being carried out on SIGTERM still gets its answer.
    """
    mark = tmp_path / "begun"
    with Served(tmp_path, processes=1) as served, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(served.post, RUNS.format("mark"), {"input": str(mark)})
        wait_until(mark.exists, message="the begin of the run")

        assert 0 == served.stop(), served.output

        assert 200 == answer.result().status_code


@pytest.mark.crash
def test_the_grace_has_an_end(tmp_path: Path) -> None:
    """
    A job that outlasts the grace is ended, and its record says so; nothing is left running.
    """
    mark = tmp_path / "begun"
    with Served(tmp_path, processes=1, job_workers=1, grace=0.5) as served:
        body = {"input": [str(mark), 60.0], "use_worker": True}
        path = served.post(RUNS.format("mark_long"), body).headers["Location"]
        wait_until(mark.exists, message="the begin of the job")
        family = served.family()

        assert 3 == served.stop(), served.output
        wait_until(lambda: gone(family), message="the end of all processes")

    with Served(tmp_path, processes=1) as served:
        job = served.get(path).json()
        assert ("failed", "worker_lost") == (job["status"], job["reason"]), job


def test_a_long_run_keeps_nobody_waiting(tmp_path: Path) -> None:
    """
    While one run takes long, the same process answers others.
    """
    mark = tmp_path / "begun"
    with Served(tmp_path, processes=1) as served, ThreadPoolExecutor(1) as threads:
        slow = threads.submit(served.post, RUNS.format("mark"), {"input": str(mark)})
        wait_until(mark.exists, message="the begin of the run")

        quick = served.post(RUNS.format("is_odd"), {"input": 4})

        assert (200, True) == (quick.status_code, slow.running())
        assert 200 == slow.result().status_code


def test_a_large_chunked_body_is_413(tmp_path: Path) -> None:
    """
    A body without a length is cut off at the limit by a real server, too.
    """
    with Served(tmp_path, processes=1) as served:
        chunks = (b"x" * 65536 for _ in range(300))

        response = httpx.post(
            served.url + RUNS.format("echo"),
            content=chunks,
            headers={"Content-Type": "application/json"},
            trust_env=False,
        )

        assert 413 == response.status_code


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    """
    A port that another process listens on is named, and nothing is started.
    """
    with Served(tmp_path, processes=1) as served:
        port = int(served.url.rpartition(":")[2])
        second = Served(tmp_path, processes=1, port=port)

        assert 1 == second.process.wait(20.0)
        assert f"ConfigurationError: port {port}" in second.output
        assert 200 == served.get("/livez").status_code


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0", "::1"])
def test_it_listens_where_it_is_told(tmp_path: Path, host: str) -> None:
    """
    Names, all addresses and IPv6 work; what is printed is where a client of this machine asks.
    """
    with Served(tmp_path, processes=1, host=host) as served:
        assert 200 == served.get("/livez").status_code


def test_an_address_of_another_machine_is_an_error(tmp_path: Path) -> None:
    """
    An address that is not this machine's is named.
    """
    served = Served(tmp_path, host="192.0.2.1")

    assert 1 == served.process.wait(20.0)
    assert "ConfigurationError" in served.output
    assert "192.0.2.1" in served.output


def test_a_store_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    """
    Where the op store cannot be opened, it says so at its start.
    """
    (tmp_path / "op_store.db").mkdir()
    served = Served(tmp_path)

    assert 1 == served.process.wait(20.0)
    assert "StoreUnavailable" in served.output
    assert "op_store.db" in served.output


def long_job(served: Served, mark: Path) -> str:
    """
    A job of the app that runs for twenty seconds, once it has begun; its path.
    """
    body = {"input": [str(mark), 20.0], "use_worker": True}
    response = served.post(RUNS.format("mark_long"), body)
    wait_until(mark.exists, timeout=20.0, message=lambda: served.output)
    return str(response.json()["job"]["id"])


@pytest.mark.crash
def test_a_second_signal_settles_jobs(tmp_path: Path) -> None:
    """
    48: at a second signal a job beside the server is settled as lost before all ends, and
    the exit code tells that something was left unfinished.
    """
    with Served(tmp_path, processes=1, job_workers=1) as served:
        job_id = long_job(served, tmp_path / "begun")
        served.process.terminate()
        wait_until(lambda: not answers(served), message="the end of the web processes")

        assert 3 == served.stop(timeout=10.0), served.output

    store = SqlJobStore(f"sqlite:///{tmp_path}/jobs.db", app="tests_app")
    try:
        record = store.get(job_id)
    finally:
        store.close()
    assert (JobStatus.failed, "worker_lost") == (record.status, record.reason)
    assert record.error is not None
    assert "WorkerStopped" == record.error.type


@pytest.mark.crash
def test_a_request_that_is_cut_off_shows_in_the_exit_code(tmp_path: Path) -> None:
    """
    A request that outlasts the grace is cut off, and the exit code tells.
    """
    mark = tmp_path / "begun"
    with (
        Served(tmp_path, processes=1, grace=0.2) as served,
        ThreadPoolExecutor(1) as threads,
    ):
        answer = threads.submit(served.post, RUNS.format("mark_long"), {"input": [str(mark), 20.0]})
        wait_until(mark.exists, message="the begin of the run")
        family = served.family()

        assert 3 == served.stop(timeout=10.0), served.output

        assert isinstance(answer.exception(), httpx.TransportError)
        wait_until(lambda: gone(family), message="the end of all processes")


def answers(served: Served) -> bool:
    """
    Whether requests are taken.
    """
    try:
        return served.get("/livez").status_code == 200
    except httpx.TransportError:
        return False
