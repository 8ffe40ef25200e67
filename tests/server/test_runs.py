"""
``POST /api/v1/pipelines/{p}/runs``: results, jobs, and who decided.
"""

from __future__ import annotations

import itertools
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from chariots_core.errors import BrokerUnavailable
from chariots_core.jobs import JobQuery
from chariots_core.resolver import resolve
from chariots_core.server import PipelinesServer
from chariots_core.workers import BaseWorkerPool, SubmitRequest
from tests.apps import make_server

RUNS = "/api/v1/pipelines/is_odd/runs"


class Broker(BaseWorkerPool):
    """
    A queue that is down at first.
    """

    name = "broker"

    def __init__(self, folder: Path) -> None:
        self.store_url = f"sqlite:///{folder}/jobs.db"
        self.is_down = True
        self.taken: list[str] = []

    def submit(self, request: SubmitRequest) -> None:
        if self.is_down:
            raise BrokerUnavailable("the broker is down")
        self.taken.append(request.job_id)


def test_a_run_in_the_request(http: FlaskClient) -> None:
    """
    The answer has output and versions, and says that nobody asked for a worker.
    """
    response = http.post(RUNS, json={"input": 4})

    body = response.get_json()
    assert 200 == response.status_code
    assert (True, False, "default", None) == (
        body["output"],
        body["use_worker"],
        body["decided_by"],
        body["job"],
    )
    assert {"addone", "isodd"} == set(body["versions"])


def test_a_run_on_a_worker(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    The answer is 202, names the job and its address, and says how many workers live.
    """
    response = queue.post(RUNS, json={"input": 4, "use_worker": True})

    body = response.get_json()
    record = queueing.chariots.fetch_job(body["job"]["id"])
    assert 202 == response.status_code
    assert f"/api/v1/jobs/{record.id}" == response.headers["Location"]
    assert "1" == response.headers["Retry-After"]
    assert (None, True, "request", 0, "queued") == (
        body["output"],
        body["use_worker"],
        body["decided_by"],
        body["workers"],
        body["job"]["status"],
    )
    assert 4 == record.input


@pytest.mark.parametrize(
    ("app", "pipeline", "request_"), list(itertools.product([True, False, None], repeat=3))
)
def test_all_switches_decide_as_the_resolver_says(
    tmp_path: Path, app: bool | None, pipeline: bool | None, request_: bool | None
) -> None:
    """
    For each of the 27 combinations the answer shows the resolver's decision.
    """
    server = make_server(tmp_path, worker_pool="local", use_workers=app)
    server.chariots.pipelines["is_odd"].use_worker = pipeline

    response = server.test_client().post(RUNS, json={"input": 4, "use_worker": request_})

    expected = resolve(app, pipeline, request_)
    body = response.get_json()
    assert (expected.use_worker, expected.decided_by) == (body["use_worker"], body["decided_by"])
    assert (202 if expected.use_worker else 200) == response.status_code
    server.close()


def test_prefer_fills_an_unset_switch(queue: FlaskClient) -> None:
    """
    ``Prefer: respond-async`` makes a job where the request's switch is unset.
    """
    response = queue.post(RUNS, json={"input": 4}, headers={"Prefer": "respond-async, wait=5"})

    assert 202 == response.status_code
    assert "respond-async" == response.headers["Preference-Applied"]
    assert "request" == response.get_json()["decided_by"]


def test_prefer_never_overrules_a_switch(queue: FlaskClient) -> None:
    """
    ``Prefer`` changes nothing where the body says false.
    """
    response = queue.post(
        RUNS, json={"input": 4, "use_worker": False}, headers={"Prefer": "respond-async"}
    )

    assert 200 == response.status_code
    assert "Preference-Applied" not in response.headers


def test_prefer_without_a_backend_is_ignored(http: FlaskClient) -> None:
    """
    A preference that cannot be met is no error.
    """
    response = http.post(RUNS, json={"input": 4}, headers={"Prefer": "respond-async"})

    assert (200, True) == (response.status_code, response.get_json()["output"])


def test_options_reach_the_job(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    Time-outs, priority and attempts of the body are those of the record.
    """
    asked = {"timeout": 12.5, "queue_timeout": 60, "priority": 3, "max_attempts": 2}

    response = queue.post(RUNS, json={"input": 4, "use_worker": True, **asked})

    record = queueing.chariots.fetch_job(response.get_json()["job"]["id"])
    assert asked == {name: getattr(record, name) for name in asked}


def test_a_job_does_not_wait_for_ever(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    A job that says nothing of its time in the queue waits for a day.
    """
    response = queue.post(RUNS, json={"input": 4, "use_worker": True})

    record = queueing.chariots.fetch_job(response.get_json()["job"]["id"])
    assert record.queue_expires_at is not None
    wait = record.queue_expires_at - record.created_at
    assert abs(wait - timedelta(days=1)) < timedelta(seconds=1)


@pytest.mark.parametrize("option", ["timeout", "queue_timeout", "priority", "max_attempts"])
def test_options_of_jobs_are_refused_without_a_job(http: FlaskClient, option: str) -> None:
    """
    An option that only a worker could honour is not ignored in silence.
    """
    response = http.post(RUNS, json={"input": 4, option: 3})

    assert 422 == response.status_code
    assert f"/{option}" == response.get_json()["errors"][0]["pointer"]


def test_one_key_makes_one_job(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    The same request under one idempotency key gives the first one's job, and says so.
    """
    call = {"json": {"input": 4, "use_worker": True}, "headers": {"Idempotency-Key": "mine"}}

    first, second = queue.post(RUNS, **call), queue.post(RUNS, **call)

    assert (202, 202) == (first.status_code, second.status_code)
    assert first.get_json()["job"]["id"] == second.get_json()["job"]["id"]
    assert (None, "true") == (
        first.headers.get("Idempotent-Replay"),
        second.headers.get("Idempotent-Replay"),
    )
    assert 1 == len(queueing.chariots.list_jobs(JobQuery()))


def test_a_key_is_free_again_after_a_refusal(tmp_path: Path) -> None:
    """
    The same request under the key of a job that the broker refused is tried anew.
    """
    pool = Broker(tmp_path)
    with closing(make_server(tmp_path, worker_pool=pool)) as server:
        http = server.test_client()
        call = {"json": {"input": 4, "use_worker": True}, "headers": {"Idempotency-Key": "mine"}}
        refused = http.post(RUNS, **call)
        pool.is_down = False
        first, second = http.post(RUNS, **call), http.post(RUNS, **call)

    assert [503, 202, 202] == [refused.status_code, first.status_code, second.status_code]
    jobs = [answer.get_json()["job"] for answer in (first, second)]
    assert ["queued", "queued"] == [job["status"] for job in jobs]
    assert [jobs[0]["id"]] == pool.taken
    assert jobs[0]["id"] == jobs[1]["id"] != refused.get_json()["job_id"]


def test_one_key_with_another_request_is_refused(
    queueing: PipelinesServer, queue: FlaskClient
) -> None:
    """
    An idempotency key that comes back with another input is 422, and makes no job.
    """
    headers = {"Idempotency-Key": "mine"}
    queue.post(RUNS, json={"input": 4, "use_worker": True}, headers=headers)

    response = queue.post(RUNS, json={"input": 5, "use_worker": True}, headers=headers)

    assert 422 == response.status_code
    assert response.get_json()["type"].endswith("/idempotency-mismatch")
    assert 1 == len(queueing.chariots.list_jobs(JobQuery()))


@pytest.mark.parametrize("switch", [True, None, False])
def test_a_repeat_does_not_run_in_the_request(tmp_path: Path, switch: bool | None) -> None:
    """
    Where the app's switch is off, a request that may have arrived before is 409 and runs
    nothing, whatever it asks for; the same request without the mark runs.
    """
    server = make_server(tmp_path, worker_pool="local", use_workers=False)
    http, file = server.test_client(), tmp_path / "ran"
    call = {"input": [str(file), 0], "use_worker": switch}
    path, key = "/api/v1/pipelines/mark_long/runs", {"Idempotency-Key": "mine"}

    refused = http.post(path, json=call, headers={**key, "Chariots-Repeat": "true"})
    has_run = file.exists()
    first = http.post(path, json=call, headers=key)

    assert (409, False) == (refused.status_code, has_run)
    assert refused.get_json()["type"].endswith("/not-repeatable")
    assert (200, True) == (first.status_code, file.exists())
    server.close()


def test_a_repeat_finds_its_job(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    A request on a worker that may have arrived before makes one job under its key, and
    is refused without one.
    """
    call = {"input": 4, "use_worker": True}
    key, mark = {"Idempotency-Key": "mine"}, {"Chariots-Repeat": "true"}

    first = queue.post(RUNS, json=call, headers=key)
    second = queue.post(RUNS, json=call, headers={**key, **mark})
    refused = queue.post(RUNS, json=call, headers=mark)

    assert [202, 202, 409] == [answer.status_code for answer in (first, second, refused)]
    assert first.get_json()["job"]["id"] == second.get_json()["job"]["id"]
    assert 1 == len(queueing.chariots.list_jobs(JobQuery()))


def test_a_key_belongs_to_a_pipeline(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    The same key for another pipeline is another job.
    """
    headers = {"Idempotency-Key": "mine"}
    for pipeline in ("is_odd", "echo"):
        body = {"input": 4, "use_worker": True}
        response = queue.post(f"/api/v1/pipelines/{pipeline}/runs", json=body, headers=headers)
        assert 202 == response.status_code

    assert 2 == len(queueing.chariots.list_jobs(JobQuery()))


def test_numbers_keep_their_value(http: FlaskClient) -> None:
    """
    Large integers, unicode and nesting come out as they went in.
    """
    value = {"n": 2**80, "text": "dünn ☃", "rows": [[1, 2.5, None, True], {}]}

    response = http.post("/api/v1/pipelines/echo/runs", json={"input": value})

    assert value == response.get_json()["output"]


def test_a_run_of_a_training_pipeline_serves_after_save_and_load(http: FlaskClient) -> None:
    """
    What a run in the request trained is validated by save, and serves after load.
    """
    trained = http.post("/api/v1/pipelines/train/runs", json={"input": 3.0})
    before = http.post("/api/v1/pipelines/predict/runs", json={"input": 2.0}).get_json()

    saved = http.post("/api/v1/pipelines/train/save")
    loaded = http.post("/api/v1/pipelines/predict/load")

    after = http.post("/api/v1/pipelines/predict/runs", json={"input": 2.0}).get_json()
    assert (201, 200) == (saved.status_code, loaded.status_code)
    assert (0.0, 6.0) == (before["output"], after["output"])
    assert trained.get_json()["versions"]["model"] == after["versions"]["model"]
