"""
Behaviours 17, 27 and 38 to 41: a queue that is away, mute, emptied, or full of rubbish.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import pytest

from chariots_core.errors import (
    BackendUnavailable,
    BrokerUnavailable,
    ChariotsError,
    JobNotFound,
    StoreUnavailable,
)
from chariots_core.jobs import JobStatus, Reason
from chariots_core.testing.conformance.bounds import Bounds
from chariots_core.testing.conformance.fixtures import KitFixtures, not_declared, tell
from chariots_core.testing.conformance.harness import Deployment

#: A lease that outlives a restart of the broker, which may keep the jobs as well.
PATIENCE: Final = 5.0

GARBAGE: Final = (b"", b"\x80\x04N.", b"rm -rf", b"\xff\xfe-1", b"os.system-7", b"x" * 10_000)


class BrokerServer(Protocol):
    """
    The queue's own server, as the fixture ``broker`` gives it.

    It may lack some of these: tests that need one that is not there are skipped.
    """

    def stop(self) -> None:
        """
        End it; what it keeps on its disk stays.
        """

    def start(self) -> None:
        """
        Start it again, and return once it answers.
        """

    def flush(self) -> None:
        """
        Empty the queues, and nothing else.
        """

    def pause(self) -> None:
        """
        Let it take connections and answer nothing.
        """

    def resume(self) -> None:
        """
        Let it go on.
        """


class Broker(KitFixtures):
    """
    What a queue's own server may do to jobs: delay them.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def inject(cls) -> Callable[[Deployment, bytes], None] | None:
        """
        Puts any bytes into the queue of a deployment as a message; ``None``: nobody can.
        """
        return None

    @pytest.fixture
    def outlasting(  # noqa: PLR0917 - fixtures are asked for by name
        self,
        settings: Mapping[str, Any],
        broker: BrokerServer | None,
        time_scale: float,
        deployment_type: type[Deployment],
        kit_module: str,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Deployment]:
        """
        A deployment whose leases outlast what happens to the broker.
        """
        if broker is None:
            not_declared("a broker that a test may stop")
        deployment = deployment_type(
            worker_pool=settings,
            folder=tmp_path_factory.mktemp("kit"),
            bounds=Bounds(PATIENCE * time_scale),
            module=kit_module,
        )
        try:
            yield deployment
        finally:
            tell(deployment)
            deployment.close()

    def test_17_a_queue_out_of_reach_refuses_jobs(
        self, outlasting: Deployment, broker: BrokerServer
    ) -> None:
        """
        17: while the queue is down a submission fails in time, and no job waits for nothing.
        """
        offers(broker, "stop")
        web = outlasting.web()
        outlasting.submit("echo", "before")
        broker.stop()
        try:
            with pytest.raises(BackendUnavailable) as caught:
                outlasting.submit("echo", "refused")
            refused = web.post("/api/v1/pipelines/echo/runs", json={"input": 1, "use_worker": True})
        finally:
            broker.start()

        error = caught.value
        named = str(error.job_id)
        assert 503 == refused.status_code, refused.text
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["job_id"]
        if isinstance(error, BrokerUnavailable):
            record = outlasting.fetch(named)
            assert (JobStatus.failed, Reason.NOT_SUBMITTED) == (record.status, record.reason)
        else:
            # The queue's server keeps the jobs: it recorded none.
            assert isinstance(error, StoreUnavailable)
            with pytest.raises(JobNotFound):
                outlasting.fetch(named)
        outlasting.worker()
        outlasting.serves()

    def test_17_a_submission_without_an_answer_names_its_job(
        self, outlasting: Deployment, broker: BrokerServer
    ) -> None:
        """
        17: where nobody knows whether a job was taken, the error names it, and it is
        run once, or was never there.
        """
        offers(broker, "pause")
        outlasting.submit("echo", "before")
        broker.pause()
        try:
            with pytest.raises(BackendUnavailable) as caught:
                outlasting.write()
        finally:
            broker.resume()
        job_id = getattr(caught.value, "job_id", None)
        assert job_id

        outlasting.gate().open()
        outlasting.worker()
        outlasting.serves()
        try:
            outlasting.peek(job_id)
        except JobNotFound:
            assert [] == outlasting.ledger().starts()
            return
        outlasting.done(job_id)
        assert 1 == len(outlasting.ledger().starts())

    def test_27_rubbish_in_the_queue_is_dropped(
        self,
        deployment: Deployment,
        inject: Callable[[Deployment, bytes], None] | None,
    ) -> None:
        """
        27: what is no message neither stops a worker nor keeps it busy; the next job runs.
        """
        if inject is None:
            not_declared("a queue that a test can put anything into")
        for rubbish in GARBAGE:
            inject(deployment, rubbish)
        started = deployment.worker()

        deployment.serves()
        for rubbish in GARBAGE:
            inject(deployment, rubbish)
        deployment.serves()
        assert started.processes[0].popen.poll() is None

    def test_38_a_worker_outlives_a_restart_of_the_broker(
        self, outlasting: Deployment, broker: BrokerServer
    ) -> None:
        """
        38: an idle worker is there again after the broker is, without anybody's help.
        """
        offers(broker, "stop")
        started = outlasting.worker().wait_ready()
        outlasting.serves()
        broker.stop()
        broker.start()

        outlasting.serves()
        assert started.processes[0].popen.poll() is None

    def test_39_a_job_outlives_a_restart_of_the_broker(
        self, outlasting: Deployment, broker: BrokerServer
    ) -> None:
        """
        39: a job that runs while the broker restarts ends well, and ran once.
        """
        offers(broker, "stop")
        outlasting.worker()
        record = outlasting.write()
        outlasting.started()
        broker.stop()
        broker.start()

        outlasting.gate().open()
        outlasting.done(record.id)
        assert 1 == len(outlasting.ledger().starts())
        outlasting.serves()

    def test_40_a_job_that_ends_while_the_broker_is_down(
        self, outlasting: Deployment, broker: BrokerServer
    ) -> None:
        """
        40: its result is committed once the broker is back, or it is lost; it never
        runs for ever.
        """
        offers(broker, "stop")
        outlasting.worker()
        record = outlasting.write()
        outlasting.started()
        broker.stop()
        try:
            outlasting.gate().open()
            outlasting.until(lambda: outlasting.ledger().finishes(), "the op ends")
        finally:
            broker.start()

        ended = outlasting.finished(record.id)
        assert ended.status is JobStatus.done or ended.reason == Reason.WORKER_LOST
        assert 1 == len(outlasting.ledger().starts())
        outlasting.serves()

    def test_41_a_queue_that_was_emptied_is_filled_again(
        self, outlasting: Deployment, broker: BrokerServer
    ) -> None:
        """
        41: jobs whose messages are gone are handed over again, and run once.
        """
        offers(broker, "flush")
        records = [outlasting.write(f"job{n}") for n in range(3)]
        for n in range(3):
            outlasting.gate(f"job{n}").open()
        broker.flush()
        outlasting.worker(2)

        for n, record in enumerate(records):
            outlasting.done(record.id)
            assert 1 == len(outlasting.ledger(f"job{n}").starts())
            assert 0 < outlasting.peek(record.id).generation > 1

    def test_41_looking_up_while_the_broker_is_mute(
        self, outlasting: Deployment, broker: BrokerServer
    ) -> None:
        """
        41: a look-up while the broker answers nothing ends in time: with the record,
        or with an error that says what is away.
        """
        offers(broker, "pause")
        record = outlasting.submit("echo", 1)
        broker.pause()
        answers: list[object] = []

        def look() -> None:
            try:
                answers.append(outlasting.fetch(record.id))
            except ChariotsError as error:
                answers.append(error)

        looking = threading.Thread(target=look)
        try:
            looking.start()
            looking.join(outlasting.bounds.deadline)
        finally:
            broker.resume()
        assert not looking.is_alive()
        assert record == answers[0] or isinstance(answers[0], BackendUnavailable)


def offers(broker: BrokerServer, what: str) -> None:
    """
    Skip the test, by name, if nobody can do *what* to the broker.
    """
    if not hasattr(broker, what):
        pytest.skip(f"not declared: a broker with {what}()")
