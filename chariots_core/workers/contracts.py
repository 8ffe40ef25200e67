"""
What the worker side asks of an app, and what passes between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, Literal, Protocol, runtime_checkable

import attrs

from chariots_core.jobs.record import JobRecord, Progress
from chariots_core.jobs.store import JobStore

#: Where a job's code runs; see `RunnerSettings`.
Isolation = Literal["warm", "fresh", "thread"]

#: How a child process comes to be; see `RunnerSettings`.
StartMethod = Literal["auto", "fork", "spawn"]

_ISOLATIONS: Final = ("warm", "fresh", "thread")
_START_METHODS: Final = ("auto", "fork", "spawn")


@attrs.frozen(kw_only=True)
class JobInput:
    """
    One attempt, as the process that executes it gets to know it.

    Attributes:
        job_id: the job.
        attempt: which start of the job this is; 1 is the first.
        pipeline: the name of a pipeline of the app.
        input_json: the input as JSON text; ``None`` where there is none or
            where *input_ref* names it.
        input_ref: where else the input is kept; apps of the core read none from there.
        report: takes how far the run is. Cheap, callable from any thread; only
            the newest report counts, and a short job's may never be written.
    """

    job_id: str
    attempt: int
    pipeline: str
    input_json: str | None = attrs.field(default=None, repr=False)
    input_ref: str | None = None
    report: Callable[[Progress], None] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class JobOutput:
    """
    What an attempt that came to its end gives.

    Attributes:
        value_json: the result as JSON text, ``"null"`` for no value; it may be
            empty only where *value_ref* names the result.
        versions: node name to version, as text.
        manifest_json: what was trained and staged; ``None``: nothing.
        value_ref: where else the result is kept; apps of the core keep none there.
    """

    value_json: str = attrs.field(repr=False)
    versions: Mapping[str, str] = attrs.field(factory=dict)
    manifest_json: str | None = attrs.field(default=None, repr=False)
    value_ref: str | None = None


class RunnerApp(Protocol):
    """
    The app, as a `JobRunner` sees it.

    Everything but `execute_job` is used in the process of the runner only, so
    nothing here is ever pickled.
    """

    @property
    def name(self) -> str:
        """
        The app's name.
        """

    @property
    def job_store(self) -> JobStore:
        """
        Where the app's jobs live; a handle that survives a fork.
        """

    @property
    def pipeline_names(self) -> frozenset[str]:
        """
        The pipelines that this process can run.
        """

    def execute_job(self, job: JobInput) -> JobOutput:
        """
        Load, run, and stage what was trained; called where the isolation says.

        Raises:
            NotJSONError: JSON cannot carry the result.
            PayloadTooLarge: the result is over the limit.
            VersionError: the pipeline cannot be loaded with valid links.
            OpStoreError: a model cannot be loaded.
            ChariotsError: another failure outside of the run.
            BaseException: whatever an op raises, with the name of its node as
                the attribute ``__chariots_node__``.
        """

    def publish(self, record: JobRecord) -> None:
        """
        Publish the models of a job in the op store, once its outcome is decided; idempotent.
        """

    def report_presence(self, kind: str) -> None:
        """
        Report the presence of this process, with the sets that it can serve.
        """

    def withdraw_presence(self) -> None:
        """
        Withdraw the presence report of this process.
        """

    def is_for_other_code(self, record: JobRecord) -> bool:
        """
        Return whether other code submitted a job, and a live process has that code.
        """

    def is_served_elsewhere(self, pipeline: str) -> bool:
        """
        Return whether a live worker of the app, with other code, can serve a pipeline.
        """

    def dispatch(self, record: JobRecord) -> None:
        """
        Hand a queued job to the queue once more.
        """

    def emit(self, event_name: str, record: JobRecord) -> None:
        """
        Tell the observers what happened to a job.
        """


@runtime_checkable
class OpenableApp(Protocol):
    """
    An app that can do ahead of a job what all jobs need.
    """

    def open(self) -> None:
        """
        Load the pipelines as they are to serve now. Called before each job of
        isolation ``fresh``, so it is cheap where nothing was activated since.
        """


class RunOutcome(Enum):
    """
    What became of one delivery of a job.

    Whatever it is, the queue is done with the message, except for
    `HANDED_BACK`: then the message is to stay, or to be put back.
    """

    #: the result is committed; the job is ``done``, or will be once any process has
    #: published what it trained
    DONE = "done"
    #: the failure is committed
    FAILED = "failed"
    #: the attempt failed, and the job will start once more
    RETRIED = "retried"
    #: nothing ran, and no attempt was counted: the worker is to stop, does not
    #: know the pipeline, or cannot reach the job store
    HANDED_BACK = "handed_back"
    #: nothing ran: the job is final, runs elsewhere, is not due, or unknown
    SKIPPED_DUPLICATE = "skipped_duplicate"
    #: nothing could be committed: the attempt was no longer the job's own, or
    #: the store stayed out of reach for too long
    STALE = "stale"


@attrs.frozen(kw_only=True)
class RunnerSettings:
    """
    How jobs are run.

    Attributes:
        isolation: ``"warm"``: in a child process that lives for many jobs;
            ``"fresh"``: in a child of its own; ``"thread"``: in a thread of
            this process, where a time-out or a cancel takes effect only once
            the job has come to its end, and its output is not kept.
        start_method: ``"fork"``; ``"spawn"``: a new interpreter that imports
            the app; ``"auto"``: fork if this process has one Python thread,
            else spawn.
        app_spec: the app as ``module:attribute``: needed for ``"spawn"``.
        lease: seconds for which an attempt is believed to be alive after each
            sign of life.
        max_jobs: jobs after which a warm child is replaced; ``None``: never.
        recycle_rss_mb: resident memory in MiB over which a warm child is
            replaced after its job; ``None``: no bound.
        progress_interval: seconds between two writings of a run's progress.
        output_limit: bytes kept of what a job prints: its beginning and its end.
        commit_patience: seconds for which an outcome is offered to a store
            that does not answer, before it is left to `tick`.
        start_timeout: seconds that a child may take to import the app, where it
            is spawned, and to load its pipelines.
        unknown_pipeline_delay: seconds before a job whose pipeline is not known
            here is offered again; doubled with each time it was handed over.
        unknown_pipeline_max_delay: the bound of that.
        housekeeping_interval: seconds between two calls of a runner's
            *housekeeping* while a job runs.
    """

    isolation: Isolation = attrs.field(default="warm", validator=attrs.validators.in_(_ISOLATIONS))
    start_method: StartMethod = attrs.field(
        default="auto", validator=attrs.validators.in_(_START_METHODS)
    )
    app_spec: str | None = None
    lease: float = attrs.field(default=15.0, validator=attrs.validators.gt(0))
    max_jobs: int | None = 1000
    recycle_rss_mb: float | None = None
    progress_interval: float = attrs.field(default=0.5, validator=attrs.validators.gt(0))
    output_limit: int = attrs.field(default=64 * 1024, validator=attrs.validators.ge(0))
    commit_patience: float = 60.0
    start_timeout: float = 120.0
    unknown_pipeline_delay: float = 1.0
    unknown_pipeline_max_delay: float = 30.0
    housekeeping_interval: float = 2.0

    def __attrs_post_init__(self) -> None:
        if self.max_jobs is not None and self.max_jobs < 1:
            raise ValueError(
                f"max_jobs is {self.max_jobs!r}; give at least 1, or None for no bound"
            )

    @property
    def renew_interval(self) -> float:
        """
        Seconds between two renewals of the lease.
        """
        return min(2.0, self.lease / 3)

    @property
    def store_patience(self) -> float:
        """
        Seconds for which a store is waited for at a time while a lease is held:
        whoever gives up after them can try twice more.
        """
        return self.lease / 3
