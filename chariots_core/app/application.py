"""
The app: pipelines, the op store, the workers, and who decides, in one place.

It is made once and used by the server, the workers and the command line. Making
it opens nothing: a process may fork after it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self, Unpack
from weakref import WeakSet, ref

from chariots_core import patience
from chariots_core.app.checks import by_name, check_input, check_switches, checked_name, decide
from chariots_core.app.execution import Execution, RunResult, execution_error
from chariots_core.app.faults import HiddenFaults
from chariots_core.app.naming import Creator, creator_of
from chariots_core.app.neighbours import Neighbours
from chariots_core.app.presence import Presence
from chariots_core.app.replacing import find_replaced, hand_over
from chariots_core.app.settings import AppSettings
from chariots_core.app.stores import default_op_store
from chariots_core.app.submission import Submission, idempotency_of
from chariots_core.app.turns import Turns
from chariots_core.errors import (
    BackendNotConfigured,
    ChariotsError,
    ConfigurationError,
    JobNotFound,
    NotJSONError,
    PayloadTooLarge,
    PipelineNotFound,
    StoreUnavailable,
)
from chariots_core.jobs.publication import settle_publications
from chariots_core.jobs.record import JobRecord, NewJob, check_job_id
from chariots_core.jobs.store import JobQuery, JobStore
from chariots_core.jobs.tick import TICK_BUDGET, TickReport, tick
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.loaded import Loaded
from chariots_core.op_store.loading import LoadedPipelines
from chariots_core.op_store.values import Manifest, ServingReport
from chariots_core.pipelines import BaseRunner, Pipeline, PipelineCallback, SequentialRunner
from chariots_core.pipelines.callbacks import checked_callbacks
from chariots_core.pipelines.raised import node_of
from chariots_core.progress import reporting
from chariots_core.resolver import Decision, checked_switch
from chariots_core.strict_json import decode, encode
from chariots_core.workers.contracts import JobInput, JobOutput
from chariots_core.workers.plugins import PluginManager, WorkerPoolSpec
from chariots_core.workers.pool import BaseWorkerPool, JobOptions

_log: Final = logging.getLogger(__name__)

#: Seconds for which a count of workers is told again without asking the store.
_WORKERS_KNOWN_FOR: Final = 1.0


#: The apps of this process, as long as somebody uses them.
_APPS: Final[WeakSet[App]] = WeakSet()


def apps_of_this_process() -> tuple[App, ...]:
    """
    The apps that this process has made, still uses, and has not closed, in no order.
    """
    return tuple(_APPS)


class App:
    """
    Pipelines with all that it takes to run them.

    Args:
        name: the app's name: jobs and queues go by it.
        pipelines: what it serves; never changed.
        op_store: where versions are kept; by default in the folder ``.chariots``.
        worker_pool: a pool, a backend's name, or a mapping with the name under
            ``"backend"``; by default what ``CHARIOTS_WORKER_POOL`` says.
        use_workers: the app's switch.
        runner: what goes through the nodes of a pipeline.
        callbacks: called in each run of each pipeline, after its own.
        settings: what an operator may set.
        creator: the code that creates the app, for logs; by default it is found.

    Raises:
        DuplicatePipelineError: two pipelines have one name.
        BackendNotConfigured: the switches ask for a worker, and there is no pool.
        BackendError: the pool cannot be made.
        ConfigurationError: the name, a pipeline or a callback is none.
        TypeError: *use_workers* is no switch.
    """

    def __init__(
        self,
        name: str,
        pipelines: Iterable[Pipeline],
        *,
        op_store: BaseOpStoreClient | None = None,
        worker_pool: WorkerPoolSpec | None = None,
        use_workers: bool | None = None,
        runner: BaseRunner | None = None,
        callbacks: Sequence[PipelineCallback] = (),
        settings: AppSettings | None = None,
        creator: Creator | None = None,
    ) -> None:
        self.name = checked_name(name)
        self.creator = creator or creator_of(self)
        #: ``module:attribute``, where it was imported by that
        self.import_spec: str | None = None
        self.pipelines = by_name(pipelines)
        self.pipeline_names = frozenset(self.pipelines)
        self.use_workers = use_workers
        own_callbacks = checked_callbacks(
            callbacks, PipelineCallback, f"callbacks of app {name!r}", ConfigurationError
        )
        self.settings = settings or AppSettings()
        self.plugins = PluginManager()
        pool = self.plugins.create_worker_pool(worker_pool)
        self.pool: BaseWorkerPool | None = None if pool is None else pool.bind(self)
        if pool is None:
            check_switches(self.name, self.pipelines, use_workers)
        self.op_store = default_op_store() if op_store is None else op_store
        self.loaded = LoadedPipelines(
            self.pipelines.values(),
            self.op_store,
            policy=self.settings.changed_models,
            on_worker=self._goes_to_worker,
            app=lambda: self.import_spec or "MODULE:APP",
        )
        self.presence = Presence(self.name, self.op_store, self.loaded.serving, self.loaded.code)
        self._execution = Execution(
            loaded=self.loaded, runner=runner or SequentialRunner(), callbacks=own_callbacks
        )
        self._turns = Turns(self.settings.max_concurrent_runs, self.settings.run_patience)
        self._workers: tuple[float, int] = (0.0, 0)
        #: Other processes of the app's name, and this process among them.
        self.neighbours = Neighbours(self.name, self.pipeline_names, self.op_store, self.pool)
        self._successor: ref[App] | None = None
        self._replace_older()

    def _replace_older(self) -> None:
        current = [app for app in _APPS if not app.is_replaced]
        replaced = find_replaced(self, current)
        _APPS.add(self)
        for app in replaced:
            app._successor = ref(self)  # noqa: SLF001 - an app as well
        hand_over(self, replaced)

    @property
    def is_replaced(self) -> bool:
        """
        Whether a newer app of this process, with the same name and job store, runs its jobs.

        It still serves runs in process with its own code, takes submissions and answers
        for jobs. Workers run the code of the newest app.
        """
        return self.newest() is not self

    def newest(self) -> App:
        """
        Return the app that runs the jobs of this name and job store: itself, unless one
        that was made later in this process is in use and not closed.
        """
        newer = None if self._successor is None else self._successor()
        if newer is None:
            return self
        last = newer.newest()
        return last if last in _APPS else self

    # -- what is served

    @property
    def use_workers(self) -> bool | None:
        """
        The app's switch: whether calls go to a worker; ``None``: others decide.
        """
        return self._use_workers

    @use_workers.setter
    def use_workers(self, use_workers: bool | None) -> None:
        self._use_workers = checked_switch(use_workers, f"use_workers of app {self.name!r}")

    def pipeline(self, name: str) -> Pipeline:
        """
        One of the app's pipelines.

        Raises:
            PipelineNotFound: the app has none of that name.
        """
        try:
            return self.pipelines[name]
        except KeyError:
            known = ", ".join(sorted(self.pipelines)) or "none at all"
            raise PipelineNotFound(
                f"app {self.name!r} has no pipeline {name[:80]!r}; it has {known}"
            ) from None

    def open(self) -> None:
        """
        Register what the op store does not know yet, and load what serves now:
        all of it the first time, and later what was activated since.

        It happens by itself at the first use; a server does it before it takes
        requests, so that a store that is out of reach is known at the start. A
        worker that forks for each job does it before each of them.

        Raises:
            StoreUnavailable: the op store cannot be opened.
        """
        self.loaded.refresh(force=True)

    def serving(self, name: str) -> Loaded:
        """
        A pipeline as this process serves it now.
        """
        # The first threads of a process come together: they wait for one that loads.
        self.loaded.open()
        return self.loaded.get(name)

    def is_loaded(self, name: str) -> bool:
        """
        Whether a pipeline can run: its versions belong together.
        """
        return self.serving(name).is_loaded

    def versions(self, name: str) -> Mapping[str, str]:
        """
        Node name to the version that serves, as text.
        """
        return self.serving(name).versions

    def load(self, name: str) -> None:
        """
        Serve a pipeline at the newest saved versions of its ops, in every process.

        Raises:
            VersionError: they were never validated together; nothing is changed.
            StoreUnavailable: the job store or the op store does not answer;
                nothing is changed.
        """
        if self.pool is not None:
            self.settle_publications()
        self.loaded.load(name)
        self.report_presence()

    def save(self, name: str) -> None:
        """
        Save what a pipeline trained, in whatever process, as versions that belong together.
        """
        self.loaded.save(name)

    # -- the processes of the app

    def report_presence(self, kind: str | None = None) -> None:
        """
        Report to the op store which sets this process serves.

        If the store does not answer, a later report replaces this one.

        Args:
            kind: of which kind this process is; ``None``: as it was reported before.
        """
        self.presence.kind = kind or self.presence.kind
        try:
            self.presence.report()
        except StoreUnavailable as error:
            _log.debug("presence was not reported: %s", error)
        except Exception:  # noqa: BLE001 - a failed report must not end a process
            _log.exception("presence was not reported")

    def withdraw_presence(self) -> None:
        """
        Report that this process ends.
        """
        try:
            with patience.bounded(seconds=1.0):
                self.presence.withdraw()
        except Exception as error:  # noqa: BLE001 - the report ends by itself
            _log.debug("the end of this process was not reported: %s", error)

    def processes(self) -> Sequence[ServingReport]:
        """
        Return the live processes of the app, with the generation that each serves.

        Raises:
            StoreUnavailable: the op store does not answer.
        """
        self.report_presence()
        return self.presence.processes()

    def is_served_elsewhere(self, pipeline: str) -> bool:
        """
        Return whether a live worker of the app can serve *pipeline*.
        """
        return any(
            process.kind == "worker" and process.serving.get(pipeline)
            for process in self.presence.processes()
        )

    def is_for_other_code(self, record: JobRecord) -> bool:
        """
        Return whether a job was submitted by other code than this process has, and belongs
        to that: a training while a process with that code lives, any other run while a
        worker with that code lives.
        """
        mine = self.loaded.code.get(record.pipeline)
        if record.code is None or mine is None or record.code == mine:
            return False
        trains = bool(self.pipelines[record.pipeline].trained)
        return any(
            process.code.get(record.pipeline) == record.code
            and (trains or process.kind == "worker")
            for process in self.presence.processes()
        )

    # -- runs

    def decide(self, name: str, request: bool | None = None) -> Decision:
        """
        Where a call of a pipeline runs.

        Args:
            name: the pipeline's name.
            request: the request's switch.

        Raises:
            BackendNotConfigured: on a worker, and the app has no pool.
        """
        decision = decide(self.use_workers, self.pipelines[name].use_worker, request)
        if decision.use_worker and self.pool is None:
            raise BackendNotConfigured(
                f"the {decision.decided_by} asks for a worker for pipeline {name!r}, and app "
                f"{self.name!r} has no backend: give it a worker_pool (e.g. 'local'), or call "
                "with use_worker=False"
            )
        return decision

    def run(self, name: str, value: Any = None) -> RunResult:
        """
        Run a pipeline in this process. What it trains is kept as its candidate.

        Raises:
            ExecutionError: an op raised, or JSON cannot carry the output.
            VersionError: the loaded versions were never validated together.
            PipelineError: the pipeline takes no input, and got one.
        """
        pipeline = self.pipeline(name)
        check_input(pipeline, value)
        taken = self._turns.take()
        try:
            return self._execution.run(pipeline, value, guard=self._guarded)
        finally:
            self._turns.give(taken)

    def submit(
        self, name: str, value: Any = None, *, key: str | None = None, **options: Unpack[JobOptions]
    ) -> Submission:
        """
        Record a job and hand it over to the workers.

        Args:
            name: the pipeline's name.
            value: its input.
            key: the caller's own name for this call: two of one name make one job.
            **options: see `JobOptions`; the settings' ``queue_timeout`` holds
                where none is given.

        Raises:
            NotJSONError: JSON cannot carry the input.
            PipelineError: the pipeline takes no input, and got one.
            BackendError: the app has no pool, or it does not take the job.
        """
        pipeline = self.pipeline(name)
        check_input(pipeline, value)
        pool = self._require_pool()
        input_json = encode(value).decode()
        # What somebody asks for under a key does not change with the settings.
        idempotency = idempotency_of(key, name, input_json, options)
        options.setdefault("queue_timeout", self.settings.queue_timeout)
        code = self.loaded.code.get(name)
        if pipeline.trained:
            # a worker of other code leaves the training to this release, if it lives
            self.report_presence()
        job = NewJob(pipeline=name, backend=pool.name, input_json=input_json, code=code, **options)
        record = pool.submit_job(job, idempotency=idempotency)
        return Submission(record=record, replayed=record.id != job.id)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            # What no node raised is the framework's own, but for a bad output.
            if node_of(error) is None and _is_ours(type(error)):
                raise
            raise execution_error(error, debug=self.settings.debug) from error

    # -- jobs

    @property
    def job_store(self) -> JobStore:
        """
        Where the app's jobs live.

        Raises:
            BackendNotConfigured: the app has no pool, hence no jobs.
        """
        return self._require_pool().job_store()

    def fetch_job(self, job_id: str) -> JobRecord:
        """
        Answer for one job, after what time has made due for it was settled.

        Raises:
            JobNotFound: the app has no such job.
        """
        check_job_id(job_id)
        if self.pool is None:
            raise JobNotFound(
                f"no job {job_id!r}: app {self.name!r} has no worker backend", job_id=job_id
            )
        return self.pool.fetch_job(job_id)

    def list_jobs(self, query: JobQuery) -> Sequence[JobRecord]:
        """
        The app's jobs, newest first, without inputs and results.
        """
        if self.pool is None:
            return ()
        return [record.shown for record in self.pool.job_store().list_jobs(query)]

    def workers_alive(self) -> int:
        """
        How many workers there are, as of the last second.
        """
        known_at, count = self._workers
        if time.monotonic() - known_at > _WORKERS_KNOWN_FOR:
            count = 0 if self.pool is None else self.pool.n_workers
            self._workers = (time.monotonic(), count)
        return count

    def tick(self, job_id: str | None = None) -> TickReport:
        """
        Settle what time has made due: of one job, or of all, as far as a second goes.
        """
        report = tick(
            self.job_store,
            dispatch=self.dispatch,
            publish=self.publish,
            job_id=job_id,
            budget=TICK_BUDGET,
        )
        for record in report.changed:
            self.emit(record.status.value, record)
        return report

    def settle_publications(self) -> None:
        """
        Publish now what every job trained whose outcome is decided, and make the jobs
        ``done``. A publication that fails is logged and tried again by a later tick.

        Raises:
            BackendNotConfigured: the app has no pool, hence no jobs.
            StoreUnavailable: the job store does not answer.
        """
        for record in settle_publications(self.job_store, self.publish):
            self.emit(record.status.value, record)

    # -- what a worker asks of the app

    def execute_job(self, job: JobInput) -> JobOutput:
        """
        Run one attempt of a job, and stage what it trained.

        Raises:
            NotJSONError: JSON cannot carry the result.
            PayloadTooLarge: the result is over the limit.
            VersionError: the pipeline cannot be loaded with valid links.
            ChariotsError: what the framework met around the run; another fault
                is logged, and its text is in no error.
            BaseException: whatever an op raises.
        """
        pipeline = self.pipeline(job.pipeline)
        if job.input_json is None and job.input_ref is not None:
            raise ConfigurationError(
                f"job {job.job_id!r} keeps its input at {job.input_ref!r}, and app {self.name!r} "
                "reads no input from there: submit it with the input itself"
            )
        value = _decoded_input(job)
        with HiddenFaults(f"job {job.job_id!r}") as faults, reporting(job.report) as node_started:
            result = self._execution.run_job(
                pipeline,
                value,
                job_id=job.job_id,
                attempt=job.attempt,
                on_node=node_started,
                guard=faults.guard,
            )
        self._check_size(pipeline, result.value_json)
        return JobOutput(
            value_json=result.value_json.decode(),
            versions=result.versions,
            manifest_json=None if result.manifest is None else result.manifest.to_json(),
        )

    def publish(self, record: JobRecord) -> None:
        """
        Publish in the op store what a job trained, once its outcome is decided. Idempotent.
        """
        if record.manifest_json is not None:
            self.loaded.publish(Manifest.from_json(record.manifest_json))

    def dispatch(self, record: JobRecord) -> None:
        """
        Hand a queued job over once more.
        """
        self._require_pool().dispatch(record)

    def emit(self, event_name: str, record: JobRecord) -> None:
        """
        Tell the observers what happened to a job.
        """
        self.plugins.job_event(self.name, event_name, record)

    # -- inside

    def _goes_to_worker(self, name: str) -> bool:
        return decide(self.use_workers, self.pipelines[name].use_worker, None).use_worker

    def _require_pool(self) -> BaseWorkerPool:
        if self.pool is None:
            raise BackendNotConfigured(
                f"app {self.name!r} has no worker backend: give it a worker_pool (e.g. 'local')"
            )
        return self.pool

    def _check_size(self, pipeline: Pipeline, value_json: bytes) -> None:
        limit = self.settings.max_result_bytes
        if len(value_json) > limit:
            raise PayloadTooLarge(
                f"the result of pipeline {pipeline.name!r} has {len(value_json)} bytes as JSON, "
                f"and {limit} are the most that a job keeps: return less, or a reference"
            )

    # -- the end

    def close(self) -> None:
        """
        Give back connections. Idempotent; a later use connects anew.
        """
        _APPS.discard(self)
        self.withdraw_presence()
        if self.pool is not None:
            self.pool.close()
        self.op_store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<App {self.name!r} with {sorted(self.pipelines)}>"


def _decoded_input(job: JobInput) -> Any:
    if job.input_json is None:
        return None
    try:
        return decode(job.input_json)
    except NotJSONError as error:
        raise ConfigurationError(
            f"the input of job {job.job_id!r} is not JSON: {error.message}"
        ) from error


def _is_ours(kind: type[BaseException]) -> bool:
    """
    Whether an error of *kind* is told to the caller as it is.
    """
    if not issubclass(kind, Exception):
        return True
    return issubclass(kind, ChariotsError) and not issubclass(kind, NotJSONError)
