"""
What a client does, against a real server without a network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chariots_core import errors
from chariots_core.client import PipelineResponse, RequestRejected
from chariots_core.jobs.record import Progress
from chariots_core.jobs.status import JobStatus
from chariots_core.pipelines import Pipeline
from chariots_core.server import PipelinesServer
from chariots_core.testing import TestPipelinesClient
from chariots_core.versioning import Version
from tests.apps import make_server, pipelines, track


@pytest.fixture(name="is_odd")
def _is_odd() -> Pipeline:
    return next(pipeline for pipeline in pipelines() if pipeline.name == "is_odd")


def test_a_call_in_the_request(client: TestPipelinesClient, is_odd: Pipeline) -> None:
    """
    The response has the value, the status done, no job, and who decided.
    """
    response = client.call_pipeline(is_odd, 4)

    assert (True, None, JobStatus.done) == (
        response.value,
        response.job_id,
        response.job_status,
    )
    assert (False, "default") == (response.use_worker, response.decided_by)


def test_versions_belong_to_the_nodes_of_the_given_pipeline(
    client: TestPipelinesClient, is_odd: Pipeline
) -> None:
    """
    Versions are found by the nodes of the pipeline that was given; by name, by their names.
    """
    by_node = client.call_pipeline(is_odd, 4).versions
    by_name = client.call_pipeline("is_odd", 4).versions

    assert set(is_odd.pipeline_nodes) == set(by_node)
    assert {node.name: version for node, version in by_node.items()} == by_name
    assert all(isinstance(version, Version) for version in by_name.values())


def test_a_call_on_a_worker_is_queued_and_waited_for(
    client: TestPipelinesClient, is_odd: Pipeline, worker: Callable[[], Any]
) -> None:
    """
    The first answer is queued; waiting gives the value and the versions.
    """
    first = client.call_pipeline(is_odd, 4, use_worker=True)

    with worker():
        last = client.wait_for_job(first, timeout=10.0)

    assert (JobStatus.queued, None, {}, 0) == (
        first.job_status,
        first.value,
        first.versions,
        first.workers,
    )
    assert (JobStatus.done, True, first.job_id) == (last.job_status, last.value, last.job_id)
    assert set(is_odd.pipeline_nodes) == set(last.versions)
    assert last == client.fetch_job(first.job_id or "", is_odd)


def test_progress_is_told_while_waiting(
    client: TestPipelinesClient, worker: Callable[[], Any]
) -> None:
    """
    Each new progress of a job reaches the function that waits for it.
    """
    seen: list[Progress] = []
    with worker():
        job = client.call_pipeline("steps", 6, use_worker=True)
        client.wait_for_job(job, timeout=20.0, on_progress=seen.append)

    assert seen
    assert sorted(progress.done for progress in seen) == [progress.done for progress in seen]
    assert len(seen) == len(set(seen))
    assert "counting" in {progress.message for progress in seen}


def test_a_failed_job_is_an_error_to_who_waits(
    client: TestPipelinesClient, worker: Callable[[], Any]
) -> None:
    """
    Waiting for a job that fails raises its error with type, node and job; looking does not.
    """
    job = client.call_pipeline("is_odd", "four", use_worker=True)
    with worker(), pytest.raises(errors.ExecutionError, match="concatenate") as caught:
        client.wait_for_job(job, timeout=10.0)

    looked = client.fetch_job(job.job_id or "")
    assert ("TypeError", "addone", job.job_id) == (
        caught.value.exception_type,
        caught.value.node,
        caught.value.job_id,
    )
    assert (JobStatus.failed, "user_error", None) == (
        looked.job_status,
        looked.reason,
        looked.value,
    )


def test_waiting_ends_with_the_time(client: TestPipelinesClient) -> None:
    """
    A job that does not finish in time is a WaitTimeout that names it, and goes on.
    """
    job = client.call_pipeline("echo", 1, use_worker=True)

    with pytest.raises(errors.WaitTimeout, match=str(job.job_id)):
        client.wait_for_job(job.job_id or "", timeout=0.05)

    assert JobStatus.queued is client.fetch_job(job.job_id or "").job_status


def test_an_answer_without_a_job_needs_no_waiting(client: TestPipelinesClient) -> None:
    """
    What ran in the request is given back by who waits for it.
    """
    response = client.call_pipeline("is_odd", 4)

    assert response is client.wait_for_job(response)


def test_train_save_load_predict(client: TestPipelinesClient) -> None:
    """
    The four calls of training in the request lead to a prediction of the new model.
    """
    trained = client.call_pipeline("train", 3.0)
    client.save_pipeline("train")
    client.load_pipeline("predict")

    predicted = client.call_pipeline("predict", 2.0)

    assert 6.0 == predicted.value
    assert trained.versions == predicted.versions == client.pipeline_versions("predict")
    assert client.is_pipeline_loaded("predict")


def test_training_on_a_worker_needs_no_save(
    client: TestPipelinesClient, worker: Callable[[], Any]
) -> None:
    """
    What a worker trained is served after load alone.
    """
    with worker():
        job = client.call_pipeline("train", 5.0, use_worker=True)
        trained = client.wait_for_job(job, timeout=10.0)
    client.load_pipeline("predict")

    predicted = client.call_pipeline("predict", 2.0)

    assert (10.0, trained.versions) == (predicted.value, predicted.versions)


def test_jobs_are_listed_over_pages(client: TestPipelinesClient) -> None:
    """
    The list of jobs fetches page after page, the newest first.
    """
    jobs = [client.call_pipeline("echo", n, use_worker=True).job_id for n in range(60)]

    assert jobs[::-1] == [job["id"] for job in client.list_jobs(pipeline="echo")]
    assert [] == list(client.list_jobs(status="done"))


def test_readiness_counts_workers(client: TestPipelinesClient) -> None:
    """
    Readiness is an answer, with the number of workers.
    """
    assert ("ok", 0) == (client.readiness()["status"], client.readiness()["workers"])


def test_a_key_of_the_callers_own(client: TestPipelinesClient) -> None:
    """
    Two calls under one key are one job; another input under it is an error.
    """
    first, second = (
        client.call_pipeline("echo", 1, use_worker=True, idempotency_key="k") for _ in range(2)
    )

    assert first.job_id == second.job_id
    with pytest.raises(errors.IdempotencyMismatch):
        client.call_pipeline("echo", 2, use_worker=True, idempotency_key="k")


@pytest.mark.parametrize("switch", [True, None, False])
@pytest.mark.parametrize("key", ["", "é b", "a b", "a\nb", "\x7f", "☃", "x" * 256, 3])
def test_a_key_that_no_header_carries(
    client: TestPipelinesClient, key: Any, switch: bool | None
) -> None:
    """
    A key that cannot be sent is a ValueError that says what can, and no job.
    """
    with pytest.raises(errors.IdempotencyKeyInvalid, match="1 to 255 visible ASCII") as caught:
        client.call_pipeline("echo", 1, switch, idempotency_key=key)

    assert isinstance(caught.value, ValueError)
    assert [] == list(client.list_jobs())


@pytest.mark.parametrize("key", ["x" * 255, "a,b", "'\";--%00", "/../"])
def test_a_key_of_odd_characters(client: TestPipelinesClient, key: str) -> None:
    """
    Every visible ASCII character is a key's, and none of them is read as anything else.
    """
    first, second = (
        client.call_pipeline("echo", 1, use_worker=True, idempotency_key=key) for _ in range(2)
    )

    assert first.job_id == second.job_id


# --- errors ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nope", "a/b", "", ".."])
def test_an_unknown_pipeline(client: TestPipelinesClient, name: str) -> None:
    """
    An unknown pipeline is PipelineNotFound, which is a ValueError.
    """
    for call in (client.call_pipeline, client.load_pipeline, client.pipeline_versions):
        with pytest.raises(errors.PipelineNotFound, match="pipeline"):
            call(name)
    assert issubclass(errors.PipelineNotFound, ValueError)


@pytest.mark.parametrize("job_id", ["nope", "", "a/b", "../x", "x" * 10_000, "ü"])
def test_an_unknown_job(client: TestPipelinesClient, job_id: str) -> None:
    """
    An unknown or malformed id is JobNotFound.
    """
    with pytest.raises(errors.JobNotFound):
        client.fetch_job(job_id)


def test_a_rejected_input(client: TestPipelinesClient) -> None:
    """
    What an op rejects is an ExecutionError with type and node, and a ValueError.
    """
    with pytest.raises(errors.ExecutionError, match="concatenate") as caught:
        client.call_pipeline("is_odd", "four")

    assert ("TypeError", "addone", None) == (
        caught.value.exception_type,
        caught.value.node,
        caught.value.traceback,
    )
    assert isinstance(caught.value, ValueError)
    assert any("request" in note for note in caught.value.__notes__)


def test_an_input_that_is_no_json_is_not_sent(client: TestPipelinesClient) -> None:
    """
    A value that JSON cannot carry is refused with its path, before anything is sent.
    """
    with pytest.raises(errors.NotJSONError, match=r"\[1\]"):
        client.call_pipeline("echo", [1, float("nan")])


def test_a_refused_request(client: TestPipelinesClient) -> None:
    """
    What the server finds wrong with a request is a RequestRejected that names the member.
    """
    with pytest.raises(RequestRejected, match="max_attempts") as caught:
        client.call_pipeline("is_odd", 4, use_worker=True, max_attempts=0)

    assert (422, "validation-error", "/max_attempts") == (
        caught.value.status,
        caught.value.slug,
        caught.value.errors[0]["pointer"],
    )


def test_a_worker_without_a_backend(tmp_path: Any) -> None:
    """
    A worker of an app without a backend is BackendNotConfigured on the client, too.
    """
    with (
        TestPipelinesClient(make_server(tmp_path)) as client,
        pytest.raises(errors.BackendNotConfigured, match="worker_pool"),
    ):
        client.call_pipeline("is_odd", 4, use_worker=True)


def test_a_version_conflict(tmp_path: Any) -> None:
    """
    Versions that were never validated together are a VersionError with each blocker.
    """
    from chariots_core.pipelines import Node
    from chariots_core.testing import TestOpStoreClient
    from tests.apps import IN, OUT, Learn, Model

    class Second(Model):
        """
        Another model.
        """

    chain = Pipeline([Node(Model(), [IN], "first"), Node(Second(), ["first"], OUT)], "chain")
    train_first = Pipeline([Node(Learn(), [IN], OUT)], "train_first")
    server = track(PipelinesServer([chain, train_first], TestOpStoreClient(tmp_path)))
    with TestPipelinesClient(server) as client:
        client.call_pipeline(train_first, 2.0)
        client.save_pipeline(train_first)

        with pytest.raises(errors.VersionError, match="not validated") as caught:
            client.load_pipeline(chain)

        assert 1 == len(caught.value.blockers)
        assert client.is_pipeline_loaded(chain)


def test_a_store_that_is_away(tmp_path: Any) -> None:
    """
    A store out of reach is StoreUnavailable on the client, too.
    """
    (tmp_path / "file").write_text("in the way of a folder")
    url = f"sqlite:///{tmp_path}/file/jobs.db"
    server = make_server(tmp_path / "ops", worker_pool={"backend": "local", "url": url})
    with (
        TestPipelinesClient(server) as client,
        pytest.raises(errors.StoreUnavailable, match=r"jobs\.db"),
    ):
        client.call_pipeline("echo", 1, use_worker=True)


def test_a_response_compares_by_what_it_says() -> None:
    """
    Two responses that say the same are equal, whatever pipeline object was given.
    """
    assert PipelineResponse(value=1, pipeline="a") == PipelineResponse(value=1, pipeline="b")
    assert PipelineResponse(value=1) != PipelineResponse(value=2)
