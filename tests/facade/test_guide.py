"""
The story of the guide to workers, with the names it uses, on the backend that needs no service.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from chariots import workers
from chariots.errors import ExecutionError
from chariots.pipelines import Pipeline, PipelinesServer
from chariots.pipelines.nodes import Node
from chariots.pipelines.ops import BaseOp
from chariots.testing import TestOpStoreClient, TestPipelinesClient, WorkerContext
from tests.apps import track


class IsOddOp(BaseOp):
    """
    Whether a number is odd.
    """

    def execute(self, number: int) -> bool:
        return bool(number % 2)


def test_the_guide_to_workers(tmp_path: Path) -> None:
    """
    A call on a worker prints queued first, then done and its value: 4 is not odd.
    """
    is_odd_pipeline = Pipeline(
        [Node(IsOddOp(), input_nodes=["__pipeline_input__"], output_nodes=["__pipeline_output__"])],
        name="is_odd_pipeline",
    )
    op_store_client = TestOpStoreClient(tmp_path)
    op_store_client.server.db.create_all()
    app = track(
        PipelinesServer(
            [is_odd_pipeline],
            op_store_client=op_store_client,
            import_name="my_app",
            worker_pool={"backend": "local", "url": f"sqlite:///{tmp_path}/jobs.db"},
        )
    )
    client = TestPipelinesClient(app)

    with WorkerContext(app):
        response = client.call_pipeline(is_odd_pipeline, 4, use_worker=True)
        first = str(response.job_status)
        client.wait_for_job(response, timeout=10.0)
        response = client.fetch_job(response.job_id or "", is_odd_pipeline)

    assert ("JobStatus.queued", "JobStatus.done", False) == (
        first,
        str(response.job_status),
        response.value,
    )
    assert workers.JobStatus.done is response.job_status


def test_an_apps_switch_sends_all_calls_to_workers(tmp_path: Path) -> None:
    """
    With use_workers the app's calls are jobs, and an explicit false of a call is obeyed.
    """
    pipeline = Pipeline(
        [Node(IsOddOp(), ["__pipeline_input__"], "__pipeline_output__")], name="is_odd"
    )
    app = track(
        PipelinesServer(
            [pipeline],
            TestOpStoreClient(tmp_path),
            worker_pool={"backend": "local", "url": f"sqlite:///{tmp_path}/jobs.db"},
            use_workers=True,
        )
    )
    with TestPipelinesClient(app) as client:
        assert client.call_pipeline(pipeline, 4).job_id
        assert client.call_pipeline(pipeline, 3, use_worker=False).value is True
        with pytest.raises(ExecutionError):
            client.call_pipeline(pipeline, "four", use_worker=False)


def test_a_context_of_workers_leaves_none_behind(tmp_path: Path) -> None:
    """
    At the end of the block its workers have ended.
    """
    pipeline = Pipeline(
        [Node(IsOddOp(), ["__pipeline_input__"], "__pipeline_output__")], name="is_odd"
    )
    app = track(
        PipelinesServer(
            [pipeline],
            TestOpStoreClient(tmp_path),
            worker_pool={"backend": "local", "url": f"sqlite:///{tmp_path}/jobs.db"},
        )
    )

    with WorkerContext(app, processes=2) as context:
        started = list(context.workers)
        assert 2 == app.chariots.workers_alive()

    assert [0, 0] == [worker.exit_code for worker in started]
