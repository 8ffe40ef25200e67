"""
The worker pool whose queue is the SQL job store.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from chariots_core.jobs.store import JobStore
from chariots_core.jobs_sql import SqlJobStore
from chariots_core.local.wake import Listener, Notifier, meeting_place
from chariots_core.sql.addresses import is_address
from chariots_core.workers.capabilities import CORE_CAPABILITIES, Capabilities
from chariots_core.workers.options import read_options
from chariots_core.workers.pool import BaseWorkerPool
from chariots_core.workers.requests import SubmitRequest
from chariots_core.workers.session import WorkerSession


def _database(_instance: object, _field: object, value: Any) -> None:
    if not isinstance(value, str) or not is_address(value):
        raise ValueError


@attrs.frozen(kw_only=True)
class LocalOptions:
    """
    What the backend `local` may be told.

    Attributes:
        url: the job store: ``sqlite:///path`` or ``postgresql+psycopg://…``;
            ``None``: as the environment says, else a file in ``.chariots``.
        poll_interval: seconds after which an idle worker looks for jobs that
            nobody on its machine told it of.
    """

    url: str | None = attrs.field(
        default=None,
        repr=False,
        validator=attrs.validators.optional(_database),
        metadata={"expects": "the address of a SQLite file or a PostgreSQL database"},
    )
    poll_interval: float = attrs.field(
        default=0.5,
        converter=float,
        validator=[attrs.validators.gt(0), attrs.validators.le(60)],
        metadata={"expects": "a number of seconds between 0 and 60"},
    )


class LocalWorkerPool(BaseWorkerPool):
    """
    Hands jobs over by waking whoever is idle: the record itself is the queue.

    Workers are processes on any machine that reaches the database. Those of
    the submitter's machine are woken at once; others find a job within the poll
    interval. Nothing is lost with a wake-up: it carries no data.

    Args:
        url: the job store; see `LocalOptions`.
        poll_interval: seconds between two looks of an idle worker.

    Raises:
        BackendMisconfigured: an option that cannot work.
    """

    name = "local"
    capabilities: ClassVar[Capabilities] = CORE_CAPABILITIES | Capabilities(
        priorities=True, queues=True
    )
    # The store is the queue: there is nothing that could lose a message.
    resend_after = None

    def __init__(self, *, url: str | None = None, poll_interval: float = 0.5) -> None:
        given = {"url": url, "poll_interval": poll_interval}
        self.options = read_options(LocalOptions, given, backend=self.name)
        self.store_url = self.options.url

    def create_job_store(self, app: str) -> JobStore:
        """
        The job store, which has to be a database: it is the queue.

        Raises:
            ConfigurationError: the address is another's.
        """
        return SqlJobStore(self.resolved_store_url(), app=app)

    def submit(self, request: SubmitRequest) -> None:
        """
        Wake the idle workers of this machine that take jobs from the queue.
        """
        Notifier(meeting_place(self.resolved_store_url(), request.app)).notify(request.queue)

    def run_worker(self, session: WorkerSession) -> None:
        """
        Run the store's next job again and again; sleep while there is none.
        """
        place = meeting_place(self.resolved_store_url(), session.app_name)
        with Listener(place, session.queues) as listener:
            while session.keep_running():
                if session.run_next() is not None:
                    listener.show(idle=False)
                elif not listener.idle:
                    # Once more after the sign went up: a job that came in
                    # between notified nobody.
                    listener.show(idle=True)
                elif session.wait(self.options.poll_interval, *listener.fds):
                    # Down before the look: who submits meanwhile need not notify here.
                    listener.show(idle=False)
                    listener.drain()
