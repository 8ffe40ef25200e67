"""
A worker pool over a queue that an engine provides.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, ClassVar, Self

import attrs

from chariots_core.jobs.record import NewJob
from chariots_core.jobs.store import Created, IdempotencyKey, JobStore
from chariots_core.queues.transport import Consumer, Message, Transport
from chariots_core.workers import (
    CORE_CAPABILITIES,
    BaseWorkerPool,
    Capabilities,
    RunOutcome,
    SubmitRequest,
)
from chariots_core.workers.pool_types import PoolApp

if TYPE_CHECKING:
    from chariots_core.workers import WorkerSession


@attrs.frozen(kw_only=True)
class QueueOptions:
    """
    What any backend over a queue may be told.

    Attributes:
        resend_after: seconds after which a job that nobody has started is handed
            over again.
        job_store: the address of the job store, where it is not to be the
            broker, or where the broker can be none.
    """

    resend_after: float = attrs.field(
        default=30.0,
        converter=float,
        validator=[attrs.validators.ge(1), attrs.validators.lt(float("inf"))],
        metadata={"expects": "a number of seconds, 1 or more"},
    )
    job_store: str | None = attrs.field(
        default=None,
        repr=False,
        validator=attrs.validators.optional(attrs.validators.matches_re(r"[a-z0-9+]+://.*")),
        metadata={"expects": "the address of a job store"},
    )


class QueuePool(BaseWorkerPool):
    """
    Hands job ids over by a `Transport`, and takes them from it.

    Where the broker can keep jobs, they are kept there, unless the options or
    ``CHARIOTS_JOB_STORE`` name another place.

    Args:
        transport: the queue.
        options: what any queue may be told.

    Attributes:
        transport: the queue.
    """

    capabilities: ClassVar[Capabilities] = CORE_CAPABILITIES | Capabilities(queues=True)

    def __init__(self, transport: Transport, options: QueueOptions) -> None:
        self.resend_after = options.resend_after
        self.store_url = options.job_store
        self.transport = transport
        self._keeps_jobs = self._may_keep_jobs()

    def bind(self, app: PoolApp) -> Self:
        """
        Tie the pool to *app*, and find out where its jobs are to be kept.
        """
        pool = super().bind(app)
        pool._keeps_jobs = pool._may_keep_jobs()  # noqa: SLF001 - the pool itself, or a copy
        return pool

    def _may_keep_jobs(self) -> bool:
        return self.store_url is None and not os.environ.get("CHARIOTS_JOB_STORE")

    def create_job_store(self, app: str) -> JobStore:
        """
        The jobs on the broker itself where it can keep them, unless another place is named.
        """
        store = self.transport.job_store(app) if self._keeps_jobs else None
        return store or super().create_job_store(app)

    def submit(self, request: SubmitRequest) -> None:
        """
        Put a message into the queue of the request.

        Raises:
            BrokerUnavailable: the broker cannot be reached or cannot work.
            TimeoutError: it did not answer.
        """
        self.transport.send(request)

    def record_and_submit(self, job: NewJob, idempotency: IdempotencyKey | None) -> Created | None:
        """
        Record a job and send its message in one step, where one server keeps both.
        """
        request = SubmitRequest(
            job_id=job.id,
            app=self.app.name,
            pipeline=job.pipeline,
            backend=job.backend,
            queue=job.queue,
            priority=job.priority,
        )
        return self.transport.record(self.job_store(), job, idempotency, request)

    def run_worker(self, session: WorkerSession) -> None:
        """
        Take one message after the other from the session's queues.
        """
        at_hand: list[Message] = []
        with ExitStack() as stack:
            consumer = stack.enter_context(
                self.transport.consumer(session.app_name, session.queues)
            )

            def abandon() -> None:
                _drop_all(at_hand, consumer)
                stack.close()

            session.meanwhile, session.abandon = consumer.attend, abandon
            while session.keep_running():
                message = consumer.take(session)
                if message is not None:
                    at_hand.append(message)
                    _run(at_hand, session, consumer)

    def after_fork_in_child(self) -> None:
        """
        Close the copies of connections to the broker.
        """
        self.transport.after_fork_in_child()

    def close(self) -> None:
        """
        Give back connections. Idempotent; a later use connects anew.
        """
        super().close()
        self.transport.close()


def _run(at_hand: list[Message], session: WorkerSession, consumer: Consumer) -> None:
    """
    Run the job of the message at hand. Its message has done what it is for once the
    job is claimed, so it goes, and the next is asked for, while the outcome is written.
    """
    (message,) = at_hand

    def ahead() -> None:
        _drop_all(at_hand, consumer)
        consumer.ahead(session)

    if message.claimed is None:
        outcome = session.run(message.job_id, ahead=ahead)
    else:
        outcome = session.run_claimed(message.claimed, since=message.since, ahead=ahead)
    # What was claimed and is handed back has been sent anew.
    if at_hand and outcome is RunOutcome.HANDED_BACK and message.claimed is None:
        consumer.put_back(at_hand.pop())
    _drop_all(at_hand, consumer)


def _drop_all(at_hand: list[Message], consumer: Consumer) -> None:
    while at_hand:
        consumer.drop(at_hand.pop())
