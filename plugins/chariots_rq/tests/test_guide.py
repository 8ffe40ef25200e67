"""
The calls of the users' guide to workers, one by one as they stand there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chariots.testing import RQWorkerContext
from chariots_core.app import App
from chariots_core.errors import BackendNotConfigured
from tests.redis_servers import RedisProcess
from tests.support import ROOT

pytestmark = pytest.mark.timeout(120)

#: What stands before the guide's first call: its ops, its pipelines, its store.
BEFORE = """
import redis

from chariots.pipelines import Pipeline, PipelinesServer
from chariots.pipelines.nodes import Node
from chariots.pipelines.ops import BaseOp
from chariots.testing import TestOpStoreClient, TestPipelinesClient, RQWorkerContext


class AddOneOp(BaseOp):
    def execute(self, number):
        return number + 1


class IsOddOp(BaseOp):
    def execute(self, number):
        return number % 2 == 1


is_odd_pipeline = Pipeline(
    [Node(IsOddOp(), input_nodes=["__pipeline_input__"], output_nodes=["__pipeline_output__"])],
    name="is_odd_pipeline",
)
my_pipelines = [is_odd_pipeline]
op_store_client = TestOpStoreClient({folder!r})
op_store_client.server.db.create_all()
_redis_init = redis.Redis.__init__
redis.Redis.__init__ = lambda client, **options: _redis_init(client, port={port}, **options)
"""

LINK = """
from redis import Redis
from chariots import workers, op_store
from chariots.op_store import savers
from chariots.pipelines import PipelinesServer
app = PipelinesServer(
    my_pipelines,
    op_store_client=op_store_client,
    import_name="my_app",
    worker_pool=workers.RQWorkerPool(redis=Redis())
)
"""

ALL = """
from redis import Redis
from chariots import workers
from chariots.pipelines import PipelinesServer
app = PipelinesServer(
    my_pipelines,
    op_store_client=op_store_client,
    import_name="my_app",
    worker_pool=workers.RQWorkerPool(redis=Redis()),
    use_workers=True
)
"""

PIPELINE = """
pipeline = Pipeline(use_worker=True, pipeline_nodes=[
    Node(AddOneOp(), input_nodes=["__pipeline_input__"], output_nodes=["added_number"]),
    Node(IsOddOp(), input_nodes=["added_number"], output_nodes=["__pipeline_output__"])
], name="async_pipeline")
"""

CALL = """
with RQWorkerContext():
    response = client.call_pipeline(is_odd_pipeline, 4, use_worker=True)
    print(response.job_status)
    time.sleep(5)
    response = client.fetch_job(response.job_id, is_odd_pipeline)
    print(response.job_status)
    print(response.value)
"""

#: Waiting for the job is what the guide's pause is for.
PATIENCE = """
class time:
    @staticmethod
    def sleep(seconds):
        client.wait_for_job(response, timeout=30)


client = TestPipelinesClient(app)
"""


@pytest.fixture(name="guide")
def _guide(tmp_path: Path, redis_server: RedisProcess) -> Iterator[partial[str]]:
    before = BEFORE.format(folder=str(tmp_path / "ops"), port=redis_server.port)
    yield partial(_run, tmp_path, before)
    with redis_server.client() as client:
        client.flushdb()


def _run(folder: Path, *texts: str) -> str:
    """
    What a script of these texts prints: each is defined in ``__main__``, as in a notebook.
    """
    script = folder / "guide.py"
    script.write_text("\n".join(texts))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def test_a_call_on_a_worker(guide: Any) -> None:
    """
    The app is linked to Redis; a call on a worker is queued, then done: 4 is not odd.
    """
    said = guide(LINK, PATIENCE, CALL, "app.close()")

    assert "JobStatus.queued\nJobStatus.done\nFalse\n" == said


def test_all_calls_of_the_app(guide: Any) -> None:
    """
    With use_workers a call that says nothing is a job.
    """
    said = guide(
        ALL,
        PATIENCE,
        CALL.replace(", use_worker=True", ""),
        "print(client.call_pipeline(is_odd_pipeline, 3, use_worker=False).value)",
        "app.close()",
    )

    assert "JobStatus.queued\nJobStatus.done\nFalse\nTrue\n" == said


def test_all_calls_of_a_pipeline(guide: Any) -> None:
    """
    A pipeline with use_worker runs on workers, and the others of its app do not.
    """
    said = guide(
        PIPELINE,
        "my_pipelines.append(pipeline)",
        LINK,
        PATIENCE,
        textwrap.dedent(
            CALL.replace("is_odd_pipeline", "pipeline").replace(", use_worker=True", "")
        ),
        "print(client.call_pipeline(is_odd_pipeline, 4).job_id)",
        "app.close()",
    )

    # One more than 4 is odd.
    assert "JobStatus.queued\nJobStatus.done\nTrue\nNone\n" == said


def test_an_app_without_workers(guide: Any) -> None:
    """
    The first app of the guide has no workers and runs its pipelines in the request.
    """
    said = guide(
        'app = PipelinesServer(my_pipelines, op_store_client=op_store_client, import_name="my_app")',
        "print(TestPipelinesClient(app).call_pipeline(is_odd_pipeline, 4).value)",
        "app.close()",
    )

    assert "False\n" == said


def test_context_without_an_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where no app of the process uses RQ, the context says what is missing.
    """
    monkeypatch.setattr("chariots_core.testing.workers.apps_of_this_process", lambda: ())
    with pytest.raises(BackendNotConfigured, match="worker_pool='rq'"), RQWorkerContext():
        pass


def test_context_serves_every_app(make_app: Any) -> None:
    """
    The context has a worker for each app of the process that uses RQ, ready as the
    block begins; afterwards there is none.
    """
    apps: list[App] = [make_app(), make_app()]
    with RQWorkerContext():
        counts = [app.pool.n_workers for app in apps if app.pool]

    assert [1, 1] == counts
    assert [0, 0] == [app.pool.n_workers for app in apps if app.pool]
