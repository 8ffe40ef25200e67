"""
A training whose outcome is decided and whose models are not published yet, as its readers see it.
"""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from chariots_core import errors
from chariots_core.app import App
from chariots_core.jobs import JobError, JobQuery, JobRecord, JobStatus, Reason, lifecycle
from chariots_core.jobs.outcomes import PUBLISH_AFTER
from chariots_core.server import PipelinesServer
from chariots_core.testing import TestPipelinesClient
from chariots_core.workers.contracts import JobInput
from tests.support import wait_until


def committed(app: App, number: float = 4.0) -> JobRecord:
    """
    A training as a worker leaves it that dies right after its commit.
    """
    job_id = app.submit("train", number).record.id
    claimed = lifecycle.claim(app.job_store, job_id, worker="w", lease=30.0)
    assert claimed is not None
    output = app.execute_job(
        JobInput(
            job_id=job_id,
            attempt=1,
            pipeline="train",
            input_json=claimed.input_json,
            report=lambda _: None,
        )
    )
    return lifecycle.complete(
        app.job_store,
        claimed,
        value_json=output.value_json,
        versions=output.versions,
        manifest_json=output.manifest_json,
    )


def job(http: FlaskClient, job_id: str) -> dict[str, Any]:
    """
    The document of a job.
    """
    body: dict[str, Any] = http.get(f"/api/v1/jobs/{job_id}").get_json()
    return body


def test_no_reader_sees_the_outcome_before_the_models(
    queueing: PipelinesServer, queue: FlaskClient
) -> None:
    """
    (68) In the answers of both APIs, in lists and in Python such a job is running, and
    shows neither its value nor its versions.
    """
    app = queueing.chariots
    record = committed(app)

    shown = job(queue, record.id)
    legacy = queue.post("/jobs/fetch/", json={"job_id": record.id}).get_json()
    (listed,) = queue.get("/api/v1/jobs?status=running").get_json()["items"]
    fetched = app.fetch_job(record.id)
    (summary,) = app.list_jobs(JobQuery())

    assert ("running", "publishing", None, None) == (
        shown["status"],
        shown["reason"],
        shown["finished_at"],
        shown["error"],
    )
    assert not {"output", "versions"} & shown.keys()
    assert (None, {}, "running") == (
        legacy["pipeline_output"],
        legacy["versions"],
        legacy["job_status"],
    )
    assert ("running", "publishing") == (listed["status"], listed["reason"])
    assert (None, {}, None) == (fetched.value, fetched.versions, fetched.value_json)
    assert {} == summary.versions


def test_a_look_up_publishes_after_a_moment(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    (68) Where its worker died, looking the job up publishes what it trained, and then it
    is done, with value and versions.
    """
    app = queueing.chariots
    record = committed(app)

    def done() -> bool:
        return bool(job(queue, record.id)["status"] == "done")

    wait_until(done, PUBLISH_AFTER + 10.0)
    shown = job(queue, record.id)

    assert ("done", None, 4.0) == (shown["status"], shown["reason"], shown["output"])
    assert shown["versions"]
    assert 2 == len(app.op_store.savings("model"))


def test_a_load_publishes_first(queueing: PipelinesServer, queue: FlaskClient) -> None:
    """
    (68) A load publishes the models of a decided outcome, finishes the job, and serves them.
    """
    app = queueing.chariots
    record = committed(app, 7.0)

    response = queue.post("/api/v1/pipelines/predict/load")

    assert 200 == response.status_code
    assert "done" == job(queue, record.id)["status"]
    assert 14.0 == app.run("predict", 2.0).value


def test_a_load_goes_on_where_one_publication_fails(
    queueing: PipelinesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A job whose models cannot be published is not done, and does not stop a load.
    """
    app = queueing.chariots
    lost = committed(app, 5.0)
    kept = committed(app, 7.0)
    publish = app.loaded.publish

    def failing(manifest: Any) -> bool:
        if manifest.job_id == lost.id:
            raise errors.ArtifactCorrupt("its bytes are gone")
        return publish(manifest)

    monkeypatch.setattr(app.loaded, "publish", failing)
    app.load("predict")

    assert JobStatus.done is app.job_store.get(kept.id).status
    assert Reason.PUBLISHING == app.job_store.get(lost.id).reason
    assert 7.0 == app.run("predict", 1.0).value


def test_a_load_without_the_job_store_changes_nothing(
    queueing: PipelinesServer, queue: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    If the job store does not answer, the load is a 503, and the same model serves.
    """
    app = queueing.chariots
    app.run("train", 3.0)
    app.save("train")

    def down(*_: object) -> None:
        raise errors.StoreUnavailable("the job store does not answer")

    monkeypatch.setattr(app.job_store, "list_jobs", down)
    response = queue.post("/api/v1/pipelines/predict/load")

    assert 503 == response.status_code
    assert 0.0 == app.run("predict", 1.0).value


def test_a_load_without_a_backend_asks_no_job_store(http: FlaskClient) -> None:
    """
    Without a backend there are no jobs to publish.
    """
    assert 200 == http.post("/api/v1/pipelines/predict/load").status_code


def test_observers_learn_the_end_from_a_load(
    queueing: PipelinesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The process that makes the job done tells the observers, once.
    """
    app = queueing.chariots
    record = committed(app)
    emitted: list[tuple[str, str]] = []
    monkeypatch.setattr(app, "emit", lambda name, job: emitted.append((name, job.id)))

    app.settle_publications()
    app.settle_publications()

    assert [("done", record.id)] == emitted


def test_a_wait_goes_on_until_the_models_are_published(queueing: PipelinesServer) -> None:
    """
    (68) A client that waits gets its answer with the models, not before, and is not
    alarmed by a try that failed.
    """
    app = queueing.chariots
    record = committed(app)
    guard = lifecycle.unpublished_guard(record)
    error = JobError(type="OSError", message="no space left on device")
    app.job_store.compare_and_set(guard, None, {"error": error})
    client = TestPipelinesClient(queueing)

    before = client.fetch_job(record.id)
    answer = client.wait_for_job(record.id, timeout=PUBLISH_AFTER + 10.0)

    assert (JobStatus.running, Reason.PUBLISHING, None, {}) == (
        before.job_status,
        before.reason,
        before.value,
        before.versions,
    )
    assert before.error is not None
    assert "no space left on device" in before.error.message
    assert (JobStatus.done, 4.0, None) == (answer.job_status, answer.value, answer.error)
    assert 2 == len(app.op_store.savings("model"))


def test_a_publication_that_failed_is_a_problem_of_its_own(
    queueing: PipelinesServer, queue: FlaskClient
) -> None:
    """
    While it is tried again, and when the job has failed, the error goes by one name.
    """
    app = queueing.chariots
    record = committed(app)
    error = JobError(type="OSError", message="no space left on device")
    guard = lifecycle.unpublished_guard(record)
    app.job_store.compare_and_set(guard, None, {"error": error})
    running = job(queue, record.id)
    app.job_store.compare_and_set(guard, JobStatus.failed, {"reason": Reason.PUBLICATION_FAILED})
    failed = job(queue, record.id)

    assert ["publication-failed"] * 2 == [
        shown["error"]["type"].rpartition("/")[2] for shown in (running, failed)
    ]
    assert ("failed", "publication_failed") == (failed["status"], failed["reason"])
    assert "output" not in failed
