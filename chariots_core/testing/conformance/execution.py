"""
Behaviours 21 to 29: what an op does wrong is told, and harms no other job.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chariots_core.jobs import JobStatus, NewJob, Reason
from chariots_core.testing.conformance.behaviours import basic
from chariots_core.testing.conformance.fixtures import KitFixtures
from chariots_core.testing.conformance.harness import Deployment
from chariots_core.testing.conformance.processes import Workers
from chariots_core.workers import RunOutcome

#: What no text about an error may exceed.
TEXT_BOUND = 100_000

#: Texts that databases and encodings stumble over.
AWKWARD = ("left\x00right", "left\ud800right", "left\x1b[0m\x07right", "left\u2028\U0001f600right")

WAYS_OUT = ("sys.exit", "os._exit", "keyboard_interrupt", "base_exception", "crash")

NOT_JSON = ("nan", "infinity", "bytes", "set", "object", "key", "circular", "surrogate")


class Execution(KitFixtures):
    """
    Executions, and their errors.
    """

    @basic
    def test_21_a_raising_op_fails_its_job(self, serving: Deployment) -> None:
        """
        21: an exception fails the job with its type, message, node and traceback.
        """
        record = serving.failed(serving.submit("fail", "soup").id, Reason.USER_ERROR)

        assert record.error is not None
        assert ("ValueError", "the kit refuses 'soup'") == (record.error.type, record.error.message)
        assert "fail" == record.error.node
        assert "_deeper" in (record.error.traceback or "")
        assert 1 == record.attempt

    @basic
    def test_21_the_text_of_an_error_is_bounded(self, serving: Deployment) -> None:
        """
        21: neither a message nor a traceback of a megabyte gets into the record.
        """
        record = serving.failed(serving.submit("fail", "x" * 1_000_000).id, Reason.USER_ERROR)

        assert record.error is not None
        assert len(record.error.message) < TEXT_BOUND
        assert len(record.error.traceback or "") < TEXT_BOUND

    @basic
    @pytest.mark.parametrize("text", AWKWARD, ids=range(len(AWKWARD)))
    def test_21_an_error_may_say_anything(self, serving: Deployment, text: str) -> None:
        """
        21: whatever characters an op prints and raises, its job fails with them or the like.
        """
        job = serving.submit("say", [ord(character) for character in text])

        record = serving.failed(job.id, Reason.USER_ERROR)

        assert record.error is not None
        assert "ValueError" == record.error.type
        assert "left" in record.error.message
        assert "right" in record.error.message
        serving.serves()

    @basic
    def test_21_an_error_without_a_text_fails_its_job(self, serving: Deployment) -> None:
        """
        21: an exception that raises when asked what it is fails its job like any other.
        """
        record = serving.failed(serving.submit("unspeakable").id, Reason.USER_ERROR)

        assert record.error is not None
        assert record.error.type.endswith("MuteError")

    def test_21_the_worker_survives(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        21: the worker that ran a raising op takes the next job.
        """
        worker()
        failed = deployment.failed(deployment.submit("fail").id, Reason.USER_ERROR)

        assert failed.worker == deployment.serves().worker

    @basic
    @pytest.mark.parametrize("way", WAYS_OUT)
    def test_22_leaving_the_process_fails_the_job(self, serving: Deployment, way: str) -> None:
        """
        22: an op that leaves, or tries to, fails its job; the workers keep serving.
        """
        before = sorted(worker.id for worker in serving.store.workers())

        pipeline = "crash" if way == "crash" else "leave"

        record = serving.finished(serving.submit(pipeline, way).id)

        assert JobStatus.failed is record.status
        assert record.reason in (Reason.USER_ERROR, Reason.WORKER_LOST)
        serving.serves()
        assert before == sorted(worker.id for worker in serving.store.workers())

    @basic
    @pytest.mark.parametrize("kind", NOT_JSON)
    def test_23_a_result_that_is_not_json_fails_the_job(
        self, serving: Deployment, kind: str
    ) -> None:
        """
        23: what JSON cannot carry fails the job; nothing stands in for the result.
        """
        job = serving.submit("notjson", kind)

        record = serving.failed(job.id, Reason.RESULT_NOT_SERIALIZABLE)

        assert record.value_json is None
        assert record.error is not None
        assert "$" in record.error.message

    def test_26_an_older_worker_hands_an_unknown_pipeline_back(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        26: a worker that does not know a pipeline leaves its job to one that does.
        """
        worker(without=("newcomer",)).wait_ready()
        record = deployment.submit("newcomer", "hello")
        deployment.until(
            lambda: deployment.peek(record.id).reason == Reason.UNKNOWN_PIPELINE,
            "the job is handed back",
        )
        assert not deployment.fetch(record.id).status.is_final
        # From here on the older worker is busy, so that the job needs no luck.
        deployment.write()
        deployment.started()

        worker()

        assert "hello" == deployment.done(record.id)
        assert 1 == deployment.fetch(record.id).attempt

    def test_26_a_job_that_nobody_knows_fails_when_its_time_is_over(
        self, deployment: Deployment, worker: Callable[..., Workers]
    ) -> None:
        """
        26: where no worker ever knows the pipeline, the job ends with its time in the queue.
        """
        worker(without=("newcomer",)).wait_ready()
        record = deployment.submit("newcomer", "hello", queue_timeout=2.0)

        failed = deployment.failed(record.id, Reason.UNKNOWN_PIPELINE)

        assert 0 == failed.attempt
        deployment.serves()

    def test_28_a_job_runs_registered_pipelines_only(self, serving: Deployment) -> None:
        """
        28: a job that names a function, a module or a file instead of a pipeline runs nothing.
        """
        canary = serving.folder / "canary"
        pickled = f"cposix\nsystem\n(S'touch {canary}'\ntR."
        names = ("os:system", "os.system", "builtins.eval", f"touch {canary}", "../../etc/passwd")
        jobs = [self._forge(serving, name, pickled) for name in names]
        echoed = serving.submit("echo", pickled)

        assert pickled == serving.done(echoed.id)
        for job_id in jobs:
            serving.failed(job_id, Reason.UNKNOWN_PIPELINE)
        assert not canary.exists()
        serving.serves()

    @basic
    def test_28_a_message_is_a_job_id_or_nothing(self, serving: Deployment) -> None:
        """
        28: what a queue delivers is looked up as an id: never imported, never unpickled.
        """
        canary = serving.folder / "canary"
        messages = (
            "0" * 32,
            "",
            "os:system",
            "x" * 10_000,
            '{"func": "os.system"}',
            f"cposix\nsystem\n(S'touch {canary}'\ntR.",
        )

        outcomes = {serving.deliver(message) for message in messages}

        assert outcomes <= {None, RunOutcome.SKIPPED_DUPLICATE}
        assert not canary.exists()

    @basic
    def test_29_every_job_is_executed_once(self, serving: Deployment) -> None:
        """
        29: two workers execute each of many jobs exactly once.
        """
        serving.gate("many").open()
        jobs = [serving.submit("write", serving.task("many", note=n)) for n in range(40)]

        workers = {serving.finished(job.id).worker for job in jobs}

        assert list(range(40)) == sorted(e.note for e in serving.ledger("many").starts())
        assert list(range(40)) == sorted(e.note for e in serving.ledger("many").finishes())
        assert workers <= {worker.id for worker in serving.store.workers()}

    @basic
    def test_29_workers_work_at_the_same_time(self, serving: Deployment) -> None:
        """
        29: two jobs are under way together, in two processes, before either ends.
        """
        jobs = [serving.write("together") for _ in range(2)]

        serving.started("together", times=2)

        assert [] == serving.ledger("together").finishes()
        assert 2 == len({entry.pid for entry in serving.ledger("together").starts()})
        serving.gate("together").open()
        for job in jobs:
            serving.done(job.id)

    def _forge(self, deployment: Deployment, pipeline: str, text: str) -> str:
        """
        Put a job past every check of a submission: straight into store and queue.
        """
        record = deployment.pool.submit_job(
            NewJob(
                pipeline=pipeline,
                backend=deployment.pool.name,
                input_json=f'"{text.encode().hex()}"',
                queue_timeout=2.0,
            )
        )
        return record.id
