"""
The base of every worker pool: submission, look-up and workers, over any queue.
"""

from __future__ import annotations

import copy
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final, Self, Unpack, final

from chariots_core.errors import (
    BackendError,
    BackendMisconfigured,
    ConfigurationError,
    UnsupportedCapability,
)
from chariots_core.jobs.record import JobRecord, NewJob, check_job_id
from chariots_core.jobs.store import Created, IdempotencyKey, JobStore
from chariots_core.jobs.tick import tick
from chariots_core.workers import submission
from chariots_core.workers.capabilities import CORE_CAPABILITIES, Capabilities
from chariots_core.workers.contracts import Isolation, StartMethod
from chariots_core.workers.pool_types import (
    DEFAULT_STORE_URL,
    JobOptions,
    PoolApp,
    absolute_url,
)
from chariots_core.workers.requests import SubmitRequest

if TYPE_CHECKING:
    from chariots_core.workers.handle import WorkerProcess
    from chariots_core.workers.session import WorkerSession

#: How the address of a job store in Redis begins.
_REDIS: Final = ("redis://", "rediss://", "unix://")

__all__ = ["BaseWorkerPool", "JobOptions", "absolute_url"]


class BaseWorkerPool(ABC):
    """
    A way to workers: it hands job ids to a queue, and can be a worker that takes them.

    A pool transports ids. It never sees a pipeline, keeps no result, and never
    retries by itself: the job store, `tick` and the job runner of core do that
    for every pool. A subclass has to say how one id gets into the queue
    (`submit`); where workers are processes of Chariots, it also says how a
    worker takes ids out of it (`run_worker`). Everything else is optional, and
    `capabilities` says what is there.

    Making a pool must do no input or output and start nothing: it is made
    before a web server forks. A pool is bound to one app by `bind`; binding it
    to a second app gives a copy.

    The smallest useful subclass, a queue made of empty files in a folder:

    >>> class FolderPool(BaseWorkerPool):
    ...     name = "folder"
    ...
    ...     def __init__(self, folder):
    ...         self.folder = Path(folder)
    ...
    ...     def submit(self, request):
    ...         (self.folder / request.message_id).touch()
    ...
    ...     def run_worker(self, session):
    ...         while session.keep_running():
    ...             for message in sorted(self.folder.iterdir()):
    ...                 job_id = message.name.rpartition("-")[0]
    ...                 if session.run(job_id) is RunOutcome.HANDED_BACK:
    ...                     break
    ...                 message.unlink(missing_ok=True)
    ...             session.wait(0.2)

    Two such workers may pick one message: the claim makes sure that one of them
    runs the job. One that is killed between the run and ``unlink`` leaves the
    message: the next one finds the job done, and drops it. A message that is
    handed back stays: the worker is to stop, or cannot reach the job store.

    Attributes:
        name: the backend's name, as job records and messages show it; the
            class's own name unless it says otherwise.
        capabilities: what it can do, core's share included. Without a
            `run_worker` of its own it declares no ``spawn``, whatever it says.
        resend_after: seconds after which a job that nobody started is handed
            over again, in case the queue lost it; ``None``: never.
        store_url: where the jobs are kept; ``None``: the environment's
            ``CHARIOTS_JOB_STORE``, else a SQLite file in ``.chariots``.
    """

    name: str = ""
    capabilities: ClassVar[Capabilities] = CORE_CAPABILITIES
    resend_after: float | None = 30.0
    store_url: str | None = None

    _declared: ClassVar[Capabilities] = CORE_CAPABILITIES
    _named_by_class: ClassVar[bool] = True
    _app: PoolApp | None = None
    _job_store: JobStore | None = None
    _bound_url: str | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        stated = _stated_name(cls)
        cls._named_by_class = not stated
        cls.name = stated or cls.__name__
        cls._declared = cls.__dict__.get("capabilities", cls._declared)
        cls.capabilities = cls._declared
        if (
            cls.run_worker is BaseWorkerPool.run_worker
            and cls.spawn_worker is BaseWorkerPool.spawn_worker
        ):
            # There is nothing that a spawned worker could do.
            cls.capabilities = cls._declared.without("spawn")

    def __repr__(self) -> str:
        # Options may hold secrets, so none of them is shown.
        app = f" of app {self._app.name!r}" if self._app else ""
        return f"<{type(self).__name__} {self.name!r}{app}>"

    # -- what a subclass says

    @abstractmethod
    def submit(self, request: SubmitRequest) -> None:
        """
        Hand one job to the queue, or raise.

        It is called for the same job again, with the next generation, at a
        retry and when the queue may have lost it. A message that comes twice
        does no harm, but a name that two sendings share does: a retry is sent
        before the message of the attempt before is acknowledged, which would
        then remove both. ``request.message_id`` differs for each.

        It must return or raise within a few seconds, so give the queue's client
        a time-out: a worker calls it from the loop that renews a lease of
        (by default) 15 seconds.

        Raises:
            BrokerUnavailable: the job was certainly not handed over.
            TimeoutError: nobody knows whether it was.
        """

    def run_worker(self, session: WorkerSession) -> None:
        """
        Be a worker: take ids out of the queue and give them to *session*, until it ends.

        It takes them in a loop of its own, in this thread, and starts no
        threads: the session forks, renews leases and hears signals between its
        calls. A queue whose client brings an event loop or worker threads of
        its own is not consumed here; see `WorkerSession` for such engines.

        With isolation ``thread`` it is not the main thread that calls this, and
        `WorkerSession.abandon` may have to give back what this one holds.

        Once ``session.run`` has returned, the message is to be acknowledged,
        unless the outcome is `RunOutcome.HANDED_BACK`: then it is to stay.

        Raises:
            UnsupportedCapability: this backend's workers are started otherwise.
        """
        raise UnsupportedCapability(
            f"backend {self.name!r} has no workers that Chariots runs (for app "
            f"{session.app_name!r}): start them as its documentation says, or override run_worker",
            backend=self.name,
            capability="spawn",
        )

    def after_fork_in_child(self) -> None:
        """
        Called in each process that a worker's process, or the process of the
        app, forks for jobs: to close the inherited ends of connections.

        A connection that is open in two processes stays open for the broker
        when the worker closes its own end. A pool that keeps connections to a
        broker closes the copies here, without a word to the broker, which would
        speak for the worker. The base has none, and does nothing. What the app
        itself opened is left to the app.
        """

    def create_job_store(self, app: str) -> JobStore:
        """
        Make the handle to the jobs of *app*; nothing is opened yet.

        A backend that keeps the jobs beside its queue overrides it.
        """
        url = self.resolved_store_url()
        if url.startswith(_REDIS):
            from chariots_core.jobs_redis import RedisJobStore

            return RedisJobStore(url, app=app)
        from chariots_core.jobs_sql import SqlJobStore

        return SqlJobStore(url, app=app)

    # -- the app

    def bind(self, app: PoolApp) -> Self:
        """
        Tie the pool to *app*: this very pool the first time, else a copy of it.

        Raises:
            BackendMisconfigured: jobs cannot be kept where the pool or the
                environment says.
        """
        if self._app is app:
            return self
        pool = self if self._app is None else copy.copy(self)
        pool._app = app  # noqa: SLF001 - the pool itself, or a copy of it
        pool._job_store = None  # noqa: SLF001
        # From here on it means the same file, wherever the process goes.
        pool._bound_url = pool.resolved_store_url()  # noqa: SLF001
        pool._check_store(app.name)  # noqa: SLF001
        return pool

    def _check_store(self, app: str) -> None:
        # a handle opens nothing: what is wrong with its address is known before any job is
        try:
            self.create_job_store(app)
        except BackendError:
            raise
        except ConfigurationError as error:
            source = "CHARIOTS_JOB_STORE" if self.store_url is None else "its own address"
            raise BackendMisconfigured(
                f"backend {self.name!r} cannot keep jobs where {source} says: {error.message}",
                backend=self.name,
            ) from error

    @property
    def app(self) -> PoolApp:
        """
        The app that the pool is bound to.

        Raises:
            BackendMisconfigured: it is bound to none.
        """
        if self._app is None:
            raise BackendMisconfigured(
                f"{self!r} belongs to no app: pass it to one as worker_pool, or call bind(app)",
                backend=self.name,
            )
        return self._app

    @final
    def job_store(self) -> JobStore:
        """
        Where the app's jobs live; one handle, made at the first call.
        """
        if self._job_store is None:
            self._job_store = self.create_job_store(self.app.name)
        return self._job_store

    @property
    def jobs_key(self) -> tuple[str, str, str]:
        """
        The app's name, the backend and the address of the job store: workers of pools
        that have these in common run the same jobs.
        """
        return self.app.name, self.name, self.job_store().shown_address

    def resolved_store_url(self) -> str:
        """
        The address of the job store: the pool's own, the environment's, or the default.
        """
        if self._bound_url is not None:
            return self._bound_url
        url = self.store_url or os.environ.get("CHARIOTS_JOB_STORE") or DEFAULT_STORE_URL
        return absolute_url(url)

    # -- submission

    def execute_pipeline_async(
        self, pipeline: str, input_json: str | None = None, **options: Unpack[JobOptions]
    ) -> str:
        """
        Record a job and hand it over.

        Args:
            pipeline: the name of a pipeline of the app.
            input_json: its input, as JSON text.
            **options: see `JobOptions`.

        Returns:
            The job's id.

        Raises:
            UnsupportedCapability: an option that this backend does not support.
            BrokerUnavailable: the queue did not take the job; it has failed.
            SubmissionUnknown: the queue did not answer; the job stays queued.
        """
        job = NewJob(pipeline=pipeline, backend=self.name, input_json=input_json, **options)
        return self.submit_job(job).id

    def submit_job(self, job: NewJob, *, idempotency: IdempotencyKey | None = None) -> JobRecord:
        """
        Record *job* and hand it over, in this order.

        Returns:
            The record as written: the hand-over is not waited for.

        Raises:
            UnsupportedCapability: it asks for what this backend does not support.
            IdempotencyMismatch: its id or key exists with another request.
            StoreUnavailable: the store did not answer; if it recorded the job
                all the same, its id is the error's ``job_id``.
            BrokerUnavailable: the queue did not take it; the record says failed.
            SubmissionUnknown: the queue did not answer; the record stays queued,
                and the job is handed over again later.
        """
        self.check_supported(job)
        return submission.submit(self, job, idempotency)

    def record_and_submit(
        self,
        job: NewJob,  # noqa: ARG002 - for those that override it
        idempotency: IdempotencyKey | None,  # noqa: ARG002
    ) -> Created | None:
        """
        Record *job* and put its message into the queue in one step, or do nothing.

        For a pool whose queue and job store are one server: it is asked first,
        where no plugin wants to know of hand-overs. The base does nothing.

        Returns:
            What the store's `create` would return, the message being in the
            queue if the job is new; ``None``: it is to be done in two steps.

        Raises:
            IdempotencyMismatch: the id or the key exists with another request.
            StoreUnavailable: either both was done or neither.
        """
        return None

    def check_supported(self, job: NewJob) -> None:
        """
        Return if this backend can do what *job* asks for.

        Raises:
            UnsupportedCapability: it cannot; the message says what to do instead.
        """
        asked = {
            "priorities": job.priority != 0,
            "queues": job.queue != "default",
            "schedule": job.delay > 0,
            "retry": job.max_attempts > 1,
            "timeout_hard": job.timeout is not None,
        }
        for capability, needed in asked.items():
            if needed:
                self.capabilities.require(capability, backend=self.name)

    def dispatch(self, record: JobRecord) -> None:
        """
        Hand a queued job over once more, through the hook.

        Raises:
            BrokerUnavailable: it was certainly not handed over.
            Exception: what else the queue or a plugin raises.
        """
        self.app.plugins.execute_pipeline(self, SubmitRequest.of(record))

    # -- look-up

    def fetch_job(self, job_id: str) -> JobRecord:
        """
        Answer for one job, whoever submitted it.

        Raises:
            JobNotFound: the app has no such job, or the id is malformed.
        """
        return self.app.plugins.lookup_job(self, check_job_id(job_id))

    def lookup(self, job_id: str) -> JobRecord:
        """
        Core's answer for one job: the store's, after what time has made due was settled.

        Raises:
            JobNotFound: the app has no such job.
        """
        store = self.job_store()
        report = tick(store, dispatch=self.dispatch, publish=self.app.publish, job_id=job_id)
        for changed in report.changed:
            self.app.emit(changed.status.value, changed)
        # Read last: somebody else may have settled what was due just now.
        return store.get(job_id).shown

    # -- workers

    @property
    def n_workers(self) -> int:
        """
        How many workers of this backend are alive, by their heart-beats.
        """
        return sum(worker.backend == self.name for worker in self.job_store().workers())

    def spawn_worker(
        self,
        *,
        queues: Sequence[str] = ("default",),
        isolation: Isolation = "warm",
        start_method: StartMethod = "auto",
    ) -> WorkerProcess:
        """
        Start a worker as a child of this process; it ends with this process at the latest.

        Args:
            queues: the queues it takes jobs from.
            isolation: how it runs jobs.
            start_method: ``"fork"``: it knows every app of this process;
                ``"spawn"``: a new interpreter, for an app that can be imported;
                ``"auto"``: fork while this process has one thread or the app
                cannot be imported, else spawn.

        Returns:
            A handle to wait for it, to stop it and to read what it wrote.

        Raises:
            UnsupportedCapability: the backend has no such workers.
        """
        self.capabilities.require("spawn", backend=self.name)
        self.capabilities.require_isolation(isolation, backend=self.name)
        from chariots_core.workers.spawn import spawn_worker

        return spawn_worker(
            self, queues=tuple(queues), isolation=isolation, start_method=start_method
        )

    def close(self) -> None:
        """
        Give back connections. Idempotent; a later use connects anew.
        """
        if self._job_store is not None:
            self._job_store.close()


def _stated_name(cls: type[BaseWorkerPool]) -> str:
    """
    The name that a class, or one that it comes from, gives itself; empty: none does.
    """
    for base in cls.__mro__:
        name: str = base.__dict__.get("name", "")
        if name and not base.__dict__.get("_named_by_class"):
            return name
    return ""
