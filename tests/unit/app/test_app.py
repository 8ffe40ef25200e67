"""
The app without HTTP: runs, jobs, and what a worker asks of it.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chariots_core import errors
from chariots_core.app import App, AppSettings
from chariots_core.app.checks import decide
from chariots_core.jobs import JobQuery, JobStatus
from chariots_core.jobs.record import JobRecord, Progress
from chariots_core.op_store.values import Manifest
from chariots_core.pipelines import (
    LoadableOp,
    Node,
    OpCallBack,
    Pipeline,
    PipelineCallback,
    SequentialRunner,
)
from chariots_core.pipelines.raised import node_of
from chariots_core.server import PipelinesServer
from chariots_core.testing import TestOpStoreClient
from chariots_core.workers import JobInput, hookimpl
from tests.apps import pipelines, track


def make_app(folder: Path, **options: Any) -> App:
    """
    An app of small pipelines.
    """
    if options.pop("jobs", False):
        options["worker_pool"] = {"backend": "local", "url": f"sqlite:///{folder}/jobs.db"}
    return track(App("tests", pipelines(), op_store=TestOpStoreClient(folder), **options))


@pytest.fixture(name="app")
def _app(tmp_path: Path) -> Iterator[App]:
    with make_app(tmp_path, jobs=True) as app:
        yield app


def job_input(pipeline: str, input_json: str | None, reports: list[Progress]) -> JobInput:
    """
    An attempt, as a worker's child gets it.
    """
    return JobInput(
        job_id="j", attempt=1, pipeline=pipeline, input_json=input_json, report=reports.append
    )


def test_a_run_has_value_text_and_versions(app: App) -> None:
    """
    The result of a run is there as a value and as JSON, with the versions that ran.
    """
    result = app.run("is_odd", 4)

    assert (True, b"true", ["addone", "isodd"]) == (
        result.value,
        result.value_json,
        list(result.versions),
    )


def test_a_job_runs_as_a_run_does(app: App) -> None:
    """
    The same input gives the same value and versions in the request and as a job.
    """
    result = app.run("is_odd", 4)

    output = app.execute_job(job_input("is_odd", "4", []))

    assert result.value_json.decode() == output.value_json
    assert dict(result.versions) == dict(output.versions)
    assert output.manifest_json is None


def test_a_job_tells_each_node(app: App) -> None:
    """
    A worker hears of each node before it begins.
    """
    reports: list[Progress] = []

    app.execute_job(job_input("is_odd", "4", reports))

    assert [(0, 2, "addone"), (1, 2, "isodd")] == [(r.done, r.total, r.node) for r in reports]


def test_a_job_trains_nothing_before_it_counts(app: App) -> None:
    """
    What an attempt trained is staged; only publishing makes it known.
    """
    app.open()
    before = app.op_store.newest(["model"])["model"].version
    output = app.execute_job(job_input("train", "3.5", []))
    staged = app.op_store.newest(["model"])["model"].version
    assert output.manifest_json is not None

    app.op_store.publish(Manifest.from_json(output.manifest_json))

    assert before == staged
    assert output.versions["model"] == str(app.op_store.newest(["model"])["model"].version)


@pytest.mark.parametrize(
    ("pipeline", "looks"), [("is_odd", 0), ("train", 3)], ids=["without state", "with state"]
)
def test_a_job_looks_for_other_versions_where_there_can_be_some(
    app: App, monkeypatch: pytest.MonkeyPatch, pipeline: str, looks: int
) -> None:
    """
    Before each job a pipeline with state looks at what is loaded now; one without
    has nothing to look for.
    """
    app.open()
    seen: list[int] = []
    revision = app.op_store.revision

    def look() -> int:
        seen.append(revision())
        return seen[-1]

    monkeypatch.setattr(app.op_store, "revision", look)
    # A request's look, every now and then, is not counted.
    monkeypatch.setattr(app.loaded, "_look_at", float("inf"))
    for _ in range(3):
        app.execute_job(job_input(pipeline, "4", []))

    assert looks == len(seen)


def test_a_raising_op_leaves_a_job_as_it_is(app: App) -> None:
    """
    In a job the op's own exception comes out, with the node's name on it.
    """
    with pytest.raises(TypeError) as caught:
        app.execute_job(job_input("is_odd", '"four"', []))

    assert "addone" == caught.value.__chariots_node__  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["revision", "put_blob"])
def test_a_fault_of_a_store_in_a_job_shows_nothing(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    """
    What the framework meets around the run of a job is in the worker's log, and in no
    part of the error that the job's record keeps.
    """

    def fault(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    app.open()
    monkeypatch.setattr(app.op_store, method, fault)
    with pytest.raises(errors.ChariotsError, match="a fault of its own in job 'j'") as caught:
        app.execute_job(job_input("train", "4", []))

    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "hunter2" in caplog.text


def test_a_raising_op_is_an_execution_error_of_a_run(app: App) -> None:
    """
    In a run it is an ExecutionError with type and node, whose cause it is.
    """
    with pytest.raises(errors.ExecutionError) as caught:
        app.run("is_odd", "four")

    assert ("TypeError", "addone") == (caught.value.exception_type, caught.value.node)
    assert isinstance(caught.value.__cause__, TypeError)


@dataclass(frozen=True)
class Stopped(Exception):
    """
    An error that refuses all attributes, those of the language too.
    """

    after: int


class Stopping(LoadableOp):
    """
    Trains, and ends with that error.
    """

    trains = True

    def execute(self) -> None:
        raise Stopped(3)

    def serialize(self) -> bytes:
        return b""

    def load(self, serialized_object: bytes) -> None: ...


def test_errors_that_refuse_attributes_stay_what_they_are(tmp_path: Path) -> None:
    """
    On its way through a run, a job and a training, an op's error is not replaced by another.
    """
    app = track(
        App("tests", [Pipeline([Node(Stopping())], "p")], op_store=TestOpStoreClient(tmp_path))
    )
    with pytest.raises(errors.ExecutionError) as caught:
        app.run("p")
    with pytest.raises(Stopped) as raised:
        app.execute_job(job_input("p", None, []))

    assert caught.value.exception_type == f"{__name__}.Stopped"
    assert ("stopping", "stopping") == (caught.value.node, node_of(raised.value))


def test_a_raising_callback_is_an_execution_error_of_a_run(tmp_path: Path) -> None:
    """
    What a callback around the whole run raises is the user's too, and no node's.
    """

    class Raising(PipelineCallback):
        def before_execution(self, pipeline: Any, args: Any) -> None:
            raise ValueError("no such tenant")

    app = make_app(tmp_path, callbacks=[Raising()])

    with pytest.raises(errors.ExecutionError, match="no such tenant") as caught:
        app.run("is_odd", 4)

    assert ("ValueError", None) == (caught.value.exception_type, caught.value.node)


def test_a_large_result_is_refused(tmp_path: Path) -> None:
    """
    A job's result over the limit is PayloadTooLarge; one at the limit is kept.
    """
    app = make_app(tmp_path, settings=AppSettings(max_result_bytes=10))

    assert '"12345678"' == app.execute_job(job_input("echo", '"12345678"', [])).value_json
    with pytest.raises(errors.PayloadTooLarge, match="10"):
        app.execute_job(job_input("echo", '"123456789"', []))


@pytest.mark.parametrize("what", ["run", "submit"])
def test_an_input_that_is_not_taken(app: App, what: str) -> None:
    """
    A pipeline without input refuses one, before anything runs or is recorded.
    """
    with pytest.raises(errors.PipelineError, match="takes no input"):
        getattr(app, what)("constant", 1)

    assert [] == list(app.list_jobs(JobQuery()))


def test_an_input_that_is_no_json_is_not_recorded(app: App) -> None:
    """
    A job's input that JSON cannot carry is refused with its path.
    """
    with pytest.raises(errors.NotJSONError, match=r"\$\.a"):
        app.submit("echo", {"a": {1}})

    assert [] == list(app.list_jobs(JobQuery()))


def test_an_app_without_a_pool_has_no_jobs(tmp_path: Path) -> None:
    """
    Without a backend nothing is submitted, found or listed.
    """
    app = make_app(tmp_path)

    with pytest.raises(errors.BackendNotConfigured):
        app.submit("echo", 1)
    with pytest.raises(errors.JobNotFound):
        app.fetch_job("abc")
    with pytest.raises(errors.BackendNotConfigured):
        _ = app.job_store
    assert (0, []) == (app.workers_alive(), list(app.list_jobs(JobQuery())))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 101, "ü"])
def test_a_name_that_cannot_name_a_queue(name: str) -> None:
    """
    An app's name goes into the names of queues, so it is checked.
    """
    with pytest.raises(errors.ConfigurationError, match="name"):
        App(name, [])


@pytest.mark.parametrize("switch", ["yes", "", 0, 1])
def test_the_apps_switch_is_checked(app: App, switch: Any) -> None:
    """
    What is neither true nor false nor None is refused, where it is given and where it is set.
    """
    with pytest.raises(TypeError, match=f"use_workers of app 'tests' is {switch!r}: give True,"):
        App("tests", [], use_workers=switch)
    with pytest.raises(TypeError, match="use_workers of app 'tests'"):
        app.use_workers = switch

    assert app.use_workers is None


@pytest.mark.parametrize("callbacks", [PipelineCallback(), [PipelineCallback], [OpCallBack()]])
def test_the_apps_callbacks_are_checked(callbacks: Any) -> None:
    """
    What is no callback of pipelines is refused when the app is made.
    """
    with pytest.raises(errors.ConfigurationError, match="callbacks of app 'tests' "):
        PipelinesServer([], import_name="tests", default_pipeline_callbacks=callbacks)


def test_decisions_are_remembered_by_type() -> None:
    """
    A number that is equal to a switch is none, and leaves no answer for the switch behind.
    """
    decide.cache_clear()

    assert "default" == decide(1, None, None).decided_by
    assert "default" == decide(None, None, 0).decided_by
    assert "app" == decide(True, None, None).decided_by
    assert "request" == decide(None, None, False).decided_by


def test_observers_hear_of_jobs(app: App) -> None:
    """
    A plugin hears of a job that was queued, and of one that a look ended.
    """
    heard: list[tuple[str, str]] = []

    class Observer:
        """
        Remembers.
        """

        @hookimpl
        def chariots_job_event(self, app: str, event_name: str, record: JobRecord) -> None:
            heard.append((app, event_name))

    app.plugins.register(Observer(), name="observer")
    app.submit("echo", 1, queue_timeout=0.01)

    while not app.tick().expired:
        pass

    assert [("tests", "queued"), ("tests", "failed")] == heard


@pytest.mark.parametrize(
    ("settings", "options", "seconds"),
    [
        (AppSettings(), {}, 24 * 3600.0),
        (AppSettings(queue_timeout=60.0), {}, 60.0),
        (AppSettings(queue_timeout=None), {}, None),
        (AppSettings(), {"queue_timeout": 5.0}, 5.0),
        (AppSettings(), {"queue_timeout": None}, None),
    ],
)
def test_time_in_the_queue(
    tmp_path: Path, settings: AppSettings, options: Any, seconds: float | None
) -> None:
    """
    A job's time in the queue is what its submission says, else what the app's settings say.
    """
    with make_app(tmp_path, jobs=True, settings=settings) as app:
        record = app.submit("echo", 1, **options).record

    assert seconds == record.queue_timeout
    assert (seconds is None) == (record.queue_expires_at is None)


def test_a_key_outlives_a_new_setting(tmp_path: Path) -> None:
    """
    The same call under a key is the same request, though the app's defaults have changed.
    """
    with make_app(tmp_path, jobs=True) as app:
        first = app.submit("echo", 1, key="k", priority=1)
    with make_app(tmp_path, jobs=True, settings=AppSettings(queue_timeout=5.0)) as app:
        second = app.submit("echo", 1, key="k", priority=1)
        with pytest.raises(errors.IdempotencyMismatch):
            app.submit("echo", 1, key="k", priority=2)

    assert (True, first.record) == (second.replayed, second.record)


def test_a_lookup_settles_its_job(app: App) -> None:
    """
    A job whose time in the queue has ended is failed to whoever looks, without a worker.
    """
    record = app.submit("echo", 1, queue_timeout=0.001).record

    while app.job_store.now() <= (record.queue_expires_at or record.created_at):
        pass

    assert JobStatus.failed is app.fetch_job(record.id).status


def test_a_runner_of_the_users_own_runs(tmp_path: Path) -> None:
    """
    The runner that an app is given goes through the nodes, in the request and in jobs.
    """
    seen: list[str] = []

    class Loud(SequentialRunner):
        """
        Says what it runs.
        """

        def run(self, pipeline: Any, *arguments: Any, **options: Any) -> Any:
            seen.append(pipeline.name)
            return super().run(pipeline, *arguments, **options)

    app = make_app(tmp_path, runner=Loud())

    app.run("is_odd", 4)
    app.execute_job(job_input("echo", "1", []))

    assert ["is_odd", "echo"] == seen


def test_runs_train_on_from_the_newest_state(app: App) -> None:
    """
    A training starts where the last one ended, saved or not; the pipelines given stay as they were.
    """
    app.run("train", 3.0)

    versions = [dict(app.run("train", number).versions) for number in (4.0, 5.0)]
    app.save("train")
    app.load("predict")

    assert 10.0 == app.run("predict", 2.0).value
    assert versions[1]["model"] == app.versions("predict")["model"]
    assert versions[0] != versions[1]
    assert all(op.learned == 0.0 for op in app.pipelines["train"].ops.values())  # type: ignore[attr-defined]


def test_closing_twice_is_fine(app: App) -> None:
    """
    A closed app may be closed again, and used again.
    """
    app.run("is_odd", 4)
    app.close()
    app.close()

    assert app.run("is_odd", 4).value is True


def test_a_job_runs_on_what_was_loaded_before_it(tmp_path: Path) -> None:
    """
    A job that is submitted after a load runs on that load's set, in every process.
    """
    with make_app(tmp_path) as web, make_app(tmp_path) as worker:
        for learned in (3.0, 5.0):
            web.run("train", learned)
            web.save("train")
            worker.execute_job(job_input("predict", "2.0", []))  # it has just looked
            web.load("predict")

            output = worker.execute_job(job_input("predict", "2.0", []))

            assert str(2 * learned) == output.value_json


def test_an_input_by_reference_is_refused(app: App) -> None:
    """
    A job whose input is kept elsewhere does not run without it.
    """
    job = JobInput(
        job_id="j", attempt=1, pipeline="echo", input_json=None, input_ref="there", report=print
    )

    with pytest.raises(errors.ConfigurationError, match="'there'"):
        app.execute_job(job)
