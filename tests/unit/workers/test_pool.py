"""
What every pool gets from its base: submission, look-up, binding.
"""

from __future__ import annotations

import gc
import os
import pickle
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from chariots_core.errors import (
    BackendMisconfigured,
    BackendUnavailable,
    BrokerUnavailable,
    IdempotencyMismatch,
    JobNotFound,
    PayloadTooLarge,
    StoreUnavailable,
    SubmissionUnknown,
    UnsupportedCapability,
)
from chariots_core.jobs import IdempotencyKey, JobQuery, JobStatus, NewJob, lifecycle
from chariots_core.jobs.record import JobRecord, is_job_id
from chariots_core.jobs.store import Created, JobStore
from chariots_core.jobs.tick import tick
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.local.pool import LocalWorkerPool
from chariots_core.workers import JobOptions, SubmitRequest
from chariots_core.workers.pool import absolute_url
from chariots_core.workers.session import WorkerSession
from chariots_core.workers.spawn import spawn_worker
from tests.support import wait_until
from tests.unit.workers.conftest import MakeApp
from tests.unit.workers.pools import Failing, Modest, Ready


class LosingAnswers(SqlJobStore):
    """
    Its connection breaks as a job is committed, and nobody learns that it was.
    """

    def create(self, job: NewJob, *, idempotency: IdempotencyKey | None = None) -> Created:
        super().create(job, idempotency=idempotency)
        raise StoreUnavailable("the connection was lost")


def descriptors() -> int:
    """
    How many descriptors this process has open, but for what waits to be collected.
    """
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_submission_is_recorded_and_handed_over(make_app: MakeApp, tmp_path: Path) -> None:
    """
    9: the record is there, queued, and the queue gets the id and what routes it.
    """
    pool = Ready(tmp_path)
    make_app(pool)
    job_id = pool.execute_pipeline_async("echo", "[1]", queue="big", priority=3)

    record = pool.fetch_job(job_id)
    assert (JobStatus.queued, "[1]", "Ready") == (record.status, record.input_json, record.backend)
    assert [
        SubmitRequest(
            job_id=job_id,
            app="plain",
            pipeline="echo",
            backend="Ready",
            queue="big",
            priority=3,
            generation=1,
        )
    ] == pool.requests


def test_request_carries_no_input(make_app: MakeApp, tmp_path: Path) -> None:
    """
    A queue sees names and numbers only: the input stays in the job store.
    """
    pool = Ready(tmp_path)
    make_app(pool)
    pool.execute_pipeline_async("echo", '"s3cret"')

    assert b"s3cret" not in pickle.dumps(pool.requests)


def test_record_comes_before_the_hand_over(make_app: MakeApp, tmp_path: Path) -> None:
    """
    A worker that is quicker than the submitter finds the record.
    """
    seen: list[JobStatus] = []

    class Quick(Ready):
        def submit(self, request: SubmitRequest) -> None:
            seen.append(self.job_store().get(request.job_id).status)

    pool = Quick(tmp_path)
    make_app(pool)
    pool.execute_pipeline_async("echo")

    assert [JobStatus.queued] == seen


def test_delayed_job_is_handed_over_when_due(make_app: MakeApp, tmp_path: Path) -> None:
    """
    A job for later reaches the queue when its time has come, by a look-up if need be.
    """
    pool = Ready(tmp_path)
    make_app(pool)
    job_id = pool.execute_pipeline_async("echo", delay=0.1)
    assert [] == pool.requests

    wait_until(lambda: pool.fetch_job(job_id).status is JobStatus.queued, message="due")
    assert [job_id] == [request.job_id for request in pool.requests]


@pytest.mark.parametrize(
    ("options", "capability"),
    [
        (JobOptions(priority=1), "priorities"),
        (JobOptions(priority=-1), "priorities"),
        (JobOptions(queue="big"), "queues"),
        (JobOptions(delay=5.0), "schedule"),
        (JobOptions(max_attempts=2), "retry"),
        (JobOptions(timeout=5.0), "timeout_hard"),
    ],
)
def test_undeclared_is_refused_before_anything(
    make_app: MakeApp, tmp_path: Path, options: JobOptions, capability: str
) -> None:
    """
    8: what the backend does not declare is refused; neither queue nor store see the job.
    """
    pool = Modest(tmp_path)
    make_app(pool)
    with pytest.raises(UnsupportedCapability, match="'modest'") as caught:
        pool.execute_pipeline_async("echo", **options)

    assert capability == caught.value.capability
    assert [] == pool.requests
    assert [] == list(pool.job_store().list_jobs(JobQuery()))


def test_spawn_is_refused_where_not_declared(make_app: MakeApp, tmp_path: Path) -> None:
    """
    8: a backend whose workers are not children of this process says so.
    """
    pool = Modest(tmp_path)
    make_app(pool)
    with pytest.raises(UnsupportedCapability, match="run_worker"):
        pool.spawn_worker()


def test_broker_that_refuses(make_app: MakeApp, tmp_path: Path) -> None:
    """
    17: a job that was certainly not handed over has failed, and the error names it.
    """
    pool = Failing(tmp_path, BrokerUnavailable("no broker at localhost:1"))
    app = make_app(pool)
    with pytest.raises(BrokerUnavailable, match="localhost:1") as caught:
        pool.execute_pipeline_async("echo")

    assert caught.value.job_id is not None
    record = pool.fetch_job(caught.value.job_id)
    assert (JobStatus.failed, "not_submitted") == (record.status, record.reason)
    assert record.error is not None
    assert "localhost:1" in record.error.message
    assert [("failed", record.id)] == app.events


@pytest.mark.parametrize(
    "error",
    [TimeoutError(), ConnectionResetError(), SubmissionUnknown("?"), BackendUnavailable("?")],
)
def test_broker_that_does_not_answer(make_app: MakeApp, tmp_path: Path, error: Exception) -> None:
    """
    17: where nobody knows, the error names the job, which stays queued to be sent again.
    """
    pool = Failing(tmp_path, error)
    pool.resend_after = 0.1
    make_app(pool)
    with pytest.raises(SubmissionUnknown) as caught:
        pool.execute_pipeline_async("echo")

    job_id = caught.value.job_id
    assert job_id is not None
    assert job_id in str(caught.value)
    assert error is caught.value.__cause__
    assert JobStatus.queued is pool.job_store().get(job_id).status
    pool.error = KeyError("from here on it must not matter")
    wait_until(
        lambda: pool.fetch_job(job_id).generation > 1 and len(pool.requests) > 1, message="resent"
    )
    assert {job_id} == {request.job_id for request in pool.requests}


def test_refusal_of_the_pool_itself(make_app: MakeApp, tmp_path: Path) -> None:
    """
    An error of Chariots that a pool raises leaves no job behind that waits.
    """
    pool = Failing(tmp_path, PayloadTooLarge("over 1 kB"))
    make_app(pool)
    with pytest.raises(PayloadTooLarge):
        pool.execute_pipeline_async("echo")

    (record,) = pool.job_store().list_jobs(JobQuery())
    assert (JobStatus.failed, "not_submitted") == (record.status, record.reason)


def test_store_that_is_away(make_app: MakeApp, tmp_path: Path) -> None:
    """
    What cannot be recorded is not handed over.
    """
    pool = Ready(tmp_path)
    (tmp_path / "file").touch()
    pool.store_url = f"sqlite:///{tmp_path}/file/jobs.db"
    make_app(pool)
    with pytest.raises(StoreUnavailable):
        pool.execute_pipeline_async("echo")

    assert [] == pool.requests


def test_store_whose_answer_is_lost(make_app: MakeApp, tmp_path: Path) -> None:
    """
    17: a job whose record may be there is named by the error, and is handed over if it is.
    """
    pool = Ready(tmp_path)
    make_app(pool)
    store = pool.job_store()
    pool._job_store = LosingAnswers(pool.resolved_store_url(), app=store.app)
    with pytest.raises(StoreUnavailable) as caught:
        pool.submit_job(NewJob(pipeline="echo", backend="", resend_after=0.01))
    pool._job_store = store

    job_id = caught.value.job_id
    assert job_id is not None
    assert JobStatus.queued is store.get(job_id).status
    wait_until(lambda: pool.fetch_job(job_id).generation == 2, message="handed over")
    assert {job_id} == {request.job_id for request in pool.requests}


def test_one_key_makes_one_job(make_app: MakeApp, tmp_path: Path) -> None:
    """
    16: the same request under the same key is one job, handed over once.
    """
    pool = Ready(tmp_path)
    make_app(pool)
    key = IdempotencyKey(key="k", digest="d1")
    first, second = (
        pool.submit_job(NewJob(pipeline="echo", backend=""), idempotency=key) for _ in range(2)
    )

    assert first.id == second.id
    assert 1 == len(pool.requests)
    with pytest.raises(IdempotencyMismatch):
        pool.submit_job(
            NewJob(pipeline="echo", backend=""), idempotency=IdempotencyKey(key="k", digest="d2")
        )


@pytest.mark.parametrize("job_id", ["nobody", "", "a:b", "../x", "é", "x" * 10_000, "\0"])
def test_unknown_and_malformed_ids(make_app: MakeApp, tmp_path: Path, job_id: str) -> None:
    """
    11: an id of no job, of whatever form, is not found, and no plugin is asked.
    """
    pool = Ready(tmp_path)
    make_app(pool)
    with pytest.raises(JobNotFound):
        pool.fetch_job(job_id)


def test_lookup_settles_a_lost_job(make_app: MakeApp, tmp_path: Path) -> None:
    """
    32: with no worker and no server alive, a look-up alone says that the worker was lost.
    """
    pool = Ready(tmp_path)
    app = make_app(pool)
    job_id = pool.execute_pipeline_async("echo")
    lifecycle.claim(pool.job_store(), job_id, worker="w", lease=0.05)

    wait_until(lambda: pool.fetch_job(job_id).status is JobStatus.failed, message="settled")
    assert "worker_lost" == pool.fetch_job(job_id).reason
    assert [("queued", job_id), ("failed", job_id)] == app.events


def test_pool_without_an_app(tmp_path: Path) -> None:
    """
    A pool that belongs to no app says what to do.
    """
    with pytest.raises(BackendMisconfigured, match="worker_pool"):
        Ready(tmp_path).execute_pipeline_async("echo")


def test_one_pool_object_for_two_apps(make_app: MakeApp, tmp_path: Path) -> None:
    """
    70: a pool given to two apps serves each with its own jobs.
    """
    pool = Ready(tmp_path)
    one, two = make_app(pool, name="one"), make_app(pool, name="two")
    job_id = one.pool.execute_pipeline_async("echo")

    assert one.pool is pool
    assert two.pool is not pool
    assert pool is pool.bind(one)
    with pytest.raises(JobNotFound):
        two.pool.fetch_job(job_id)
    two.pool.execute_pipeline_async("echo")
    assert ["one", "two"] == [request.app for request in pool.requests]


def test_making_a_pool_opens_nothing(make_app: MakeApp, tmp_path: Path) -> None:
    """
    6: a pool and its app are made without a file, a connection or a descriptor.
    """
    before = descriptors()
    app = make_app(Ready(tmp_path))
    app.pool.job_store()

    assert before == descriptors()
    assert [] == list(tmp_path.iterdir())


def test_close_is_idempotent(make_app: MakeApp, tmp_path: Path) -> None:
    """
    6: a pool can be closed often, gives its descriptors back, and can be used again.
    """
    before = descriptors()
    pool = Ready(tmp_path)
    make_app(pool)
    pool.close()
    job_id = pool.execute_pipeline_async("echo")
    pool.close()
    pool.close()

    assert before == descriptors()
    assert job_id == pool.fetch_job(job_id).id
    pool.close()


def test_pool_works_in_forked_children(make_app: MakeApp, tmp_path: Path) -> None:
    """
    7: a pool made, and used, before a fork works in four children at once.
    """
    pool = Ready(tmp_path)
    make_app(pool)
    pool.execute_pipeline_async("echo", "0")
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                ids = [pool.execute_pipeline_async("echo", "1") for _ in range(25)]
                code = 0 if all(pool.fetch_job(i).value is None for i in ids) else 2
            finally:
                os._exit(code)
        children.append(pid)

    assert [0] * 4 == [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert 101 == len(pool.job_store().list_jobs(JobQuery(limit=200)))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///jobs.db", "sqlite:///{here}/jobs.db"),
        ("sqlite:////var/jobs.db", "sqlite:////var/jobs.db"),
        ("postgresql+psycopg://u@h/db", "postgresql+psycopg://u@h/db"),
    ],
)
def test_relative_address_is_made_absolute(
    url: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The path of a SQLite file means the same to every process of an app.
    """
    monkeypatch.chdir(tmp_path)

    assert expected.format(here=tmp_path) == absolute_url(url)


def test_store_address_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    CHARIOTS_JOB_STORE says where jobs are, where the pool does not.
    """
    monkeypatch.setenv("CHARIOTS_JOB_STORE", f"sqlite:///{tmp_path}/env.db")
    pool = Ready(tmp_path)
    assert f"sqlite:///{tmp_path}/jobs.db" == pool.resolved_store_url()
    pool.store_url = None

    assert f"sqlite:///{tmp_path}/env.db" == pool.resolved_store_url()


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/db", "sqlite://", "nowhere"])
@pytest.mark.parametrize("backend", ["ready", "local"])
def test_bad_address_is_known_when_the_pool_is_bound(
    url: str, backend: str, make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An app is not made with an address that cannot keep jobs; who gave it is named.
    """
    monkeypatch.setenv("CHARIOTS_JOB_STORE", url)
    pool = LocalWorkerPool() if backend == "local" else Ready(tmp_path)
    pool.store_url = None
    with pytest.raises(BackendMisconfigured, match="where CHARIOTS_JOB_STORE says") as from_outside:
        make_app(pool)
    own = Ready(tmp_path)
    own.store_url = url
    with pytest.raises(BackendMisconfigured, match="where its own address says") as from_inside:
        make_app(own)

    assert "hunter2" not in f"{from_outside.value} {from_inside.value}"


def test_local_keeps_no_jobs_in_redis(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The queue of `local` is a database: the address of a Redis is refused when it is bound.
    """
    monkeypatch.setenv("CHARIOTS_JOB_STORE", "redis://localhost:6379/0")

    with pytest.raises(BackendMisconfigured, match=r"CHARIOTS_JOB_STORE .* write sqlite"):
        make_app(LocalWorkerPool())


def test_names_of_subclasses() -> None:
    """
    A pool goes by its class's name unless it says otherwise; a subclass keeps what was said.
    """

    class Own(Ready):
        name = "own"

    class Heir(Own):
        pass

    class Nameless(Ready):
        pass

    class Both(Nameless, Own):
        pass

    assert ("Ready", "own", "own") == (Ready.name, Own.name, Heir.name)
    assert ("Nameless", "own") == (Nameless.name, Both.name)


def test_bound_pool_stays_at_its_store(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A relative address means the folder where the app was made, wherever the process goes.
    """
    monkeypatch.chdir(tmp_path)
    pool = Ready(tmp_path)
    pool.store_url = "sqlite:///here.db"
    make_app(pool)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    pool.execute_pipeline_async("echo")

    assert (tmp_path / "here.db").exists()
    assert [] == list((tmp_path / "elsewhere").iterdir())


class Grown(Ready):
    """
    Can be a worker, unlike the class it is made from.
    """

    def run_worker(self, session: WorkerSession) -> None:
        session.keep_running()


def test_pool_that_cannot_be_a_worker(make_app: MakeApp, tmp_path: Path) -> None:
    """
    8: a pool that says nothing of workers declares none, and refuses to start one.
    """
    pool = Ready(tmp_path)
    make_app(pool)
    with pytest.raises(UnsupportedCapability, match="'spawn'"):
        pool.spawn_worker(start_method="fork")

    assert (False, True) == (Ready.capabilities.spawn, Grown.capabilities.spawn)
    assert Ready.capabilities == Grown.capabilities.without("spawn")


def test_worker_of_such_a_pool(make_app: MakeApp, tmp_path: Path) -> None:
    """
    A worker of a backend that has none of Chariots' own ends with a sentence.
    """
    pool = Ready(tmp_path)
    make_app(pool)
    with spawn_worker(pool, start_method="fork") as worker:
        with pytest.raises(BackendUnavailable, match="override run_worker"):
            worker.wait_ready()
        assert "Traceback" not in worker.output


def test_each_sending_has_a_name(make_app: MakeApp, tmp_path: Path) -> None:
    """
    41: a job that is sent again is another message: its name has the generation.
    """
    pool = Ready(tmp_path)
    app = make_app(pool)
    record = pool.submit_job(
        NewJob(pipeline="echo", backend=pool.name, resend_after=0.01, id="a-1_b")
    )
    wait_until(lambda: pool.fetch_job(record.id).generation == 2, message="sent again")
    del app

    assert ["a-1_b-1", "a-1_b-2"] == [request.message_id for request in pool.requests][:2]
    assert all(is_job_id(request.message_id) for request in pool.requests)
    assert {"a-1_b"} == {request.message_id.rpartition("-")[0] for request in pool.requests}


class Overtaken(SqlJobStore):
    """
    A store in which somebody else settles what is due just before we look.
    """

    address: str

    def due(self, *, job_id: str | None = None, limit: int = 100) -> Sequence[JobRecord]:
        with closing(SqlJobStore(self.address, app=self.app)) as other:
            tick(other, dispatch=print, publish=print)
        return super().due(job_id=job_id, limit=limit)


def test_lookup_sees_what_others_settle(make_app: MakeApp, tmp_path: Path) -> None:
    """
    30: an answer shows what another process settled while it was being made.
    """

    class Racing(Ready):
        def create_job_store(self, app: str) -> JobStore:
            store = Overtaken(self.resolved_store_url(), app=app)
            store.address = self.resolved_store_url()
            return store

    pool = Racing(tmp_path)
    make_app(pool)
    job_id = pool.execute_pipeline_async("echo", "1")
    lifecycle.claim(pool.job_store(), job_id, worker="w", lease=0.0)

    assert JobStatus.failed is pool.fetch_job(job_id).status
