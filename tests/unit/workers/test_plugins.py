"""
Hooks in use: core's share, wrappers, observers, and what is refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import attrs
import pytest

from chariots_core.errors import BackendBroken, BackendMisconfigured, ConfigurationError
from chariots_core.jobs import JobQuery, JobRecord
from chariots_core.workers import BaseWorkerPool, SubmitRequest, hookimpl, hookspecs
from chariots_core.workers.checks import HOOKS
from chariots_core.workers.plugins import PluginManager
from tests.local.app import PlainApp
from tests.unit.workers.conftest import MakeApp
from tests.unit.workers.pools import Ready


class Observer:
    """
    Notes the events it sees.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []

    @hookimpl
    def chariots_job_event(self, event_name: str) -> None:
        self.seen.append(event_name)


class Grumpy:
    """
    Raises at each event.
    """

    @hookimpl
    def chariots_job_event(self) -> None:
        raise RuntimeError("I do not like events")


@pytest.fixture(name="app_with")
def _app_with(make_app: MakeApp, tmp_path: Path) -> Callable[..., PlainApp]:
    """
    Makes an app with more plugins than are installed.
    """

    def make(**plugins: object) -> PlainApp:
        manager = PluginManager()
        for name, plugin in plugins.items():
            manager.register(plugin, name=name)
        return make_app(Ready(tmp_path), plugins=manager)

    return make


def test_object_needs_no_plugin(tmp_path: Path) -> None:
    """
    A pool passed as an object is used as it is.
    """
    pool = Ready(tmp_path)

    assert pool is PluginManager().create_worker_pool(pool)


def test_nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Neither code nor environment asks for workers: there is no pool.
    """
    assert PluginManager().create_worker_pool(None) is None
    monkeypatch.setenv("CHARIOTS_WORKER_POOL", "  ")
    assert PluginManager().create_worker_pool(None) is None


@pytest.mark.parametrize("spec", [5, {}, {"backend": 5}, "", "a b", {"url": "x"}, "x" * 65])
def test_what_is_no_pool(spec: Any) -> None:
    """
    What is neither a pool nor a name nor a mapping with a name is refused.
    """
    with pytest.raises(BackendMisconfigured, match="worker_pool"):
        PluginManager().create_worker_pool(spec)


def test_one_manager_makes_many_pools(tmp_path: Path) -> None:
    """
    A backend is loaded once and makes a new pool each time it is asked.
    """
    manager = PluginManager()
    spec = {"backend": "local", "url": f"sqlite:///{tmp_path}/jobs.db"}
    first, second = manager.create_worker_pool(spec), manager.create_worker_pool(spec)

    assert first is not second
    assert 1 == manager.use_backend("local").contract_version


def test_mapping_is_not_changed(tmp_path: Path) -> None:
    """
    What the user passed stays as it is.
    """
    spec = {"backend": "local", "url": f"sqlite:///{tmp_path}/jobs.db"}
    PluginManager().create_worker_pool(spec)

    assert {"backend": "local", "url": f"sqlite:///{tmp_path}/jobs.db"} == spec


def test_observers_see_events(app_with: Callable[..., PlainApp]) -> None:
    """
    Every observer is told of a job's events.
    """
    one, two = Observer(), Observer()
    app_with(one=one, two=two).pool.execute_pipeline_async("echo")

    assert (["queued"], ["queued"]) == (one.seen, two.seen)


def test_error_of_an_observer_is_logged(
    app_with: Callable[..., PlainApp], caplog: pytest.LogCaptureFixture
) -> None:
    """
    An observer that raises is logged by name; the others are told, the job goes on.
    """
    before, after = Observer(), Observer()
    app = app_with(before=before, grumpy=Grumpy(), after=after)
    with caplog.at_level(logging.ERROR):
        job_id = app.pool.execute_pipeline_async("echo")

    assert job_id == app.pool.fetch_job(job_id).id
    assert (["queued"], ["queued"]) == (before.seen, after.seen)
    assert "plugin 'grumpy' failed to observe event 'queued'" in caplog.text
    assert "I do not like events" in caplog.text


def test_plugin_can_route(app_with: Callable[..., PlainApp]) -> None:
    """
    A plugin that takes a job over comes before core, and core leaves the job alone.
    """

    class Router:
        taken: list[str] = []  # noqa: RUF012

        @hookimpl
        def chariots_execute_pipeline(self, request: SubmitRequest) -> bool | None:
            if request.queue != "elsewhere":
                return None
            self.taken.append(request.job_id)
            return True

    app = app_with(router=Router())
    assert isinstance(app.pool, Ready)
    here = app.pool.execute_pipeline_async("echo")
    there = app.pool.execute_pipeline_async("echo", queue="elsewhere")

    assert [here] == [request.job_id for request in app.pool.requests]
    assert [there] == Router.taken


def test_wrapper_may_change_an_answer(app_with: Callable[..., PlainApp]) -> None:
    """
    A wrapper around the look-up may change what is answered.
    """

    class Redact:
        @hookimpl(wrapper=True)
        def chariots_lookup_job(self) -> Generator[None, JobRecord, JobRecord]:
            return attrs.evolve((yield), input_json=None)

    app = app_with(redact=Redact())
    job_id = app.pool.execute_pipeline_async("echo", '"s3cret"')

    assert app.pool.fetch_job(job_id).input_json is None


def test_wrapper_that_loses_the_answer(app_with: Callable[..., PlainApp]) -> None:
    """
    A wrapper that forgets to return what it got is told so.
    """

    class Forgetful:
        @hookimpl(wrapper=True)
        def chariots_lookup_job(self) -> Generator[None, JobRecord, None]:
            yield

        @hookimpl(wrapper=True)
        def chariots_execute_pipeline(self) -> Generator[None, bool, None]:
            yield

    app = app_with(forgetful=Forgetful())
    with pytest.raises(BackendBroken, match="must return what it got"):
        app.pool.execute_pipeline_async("echo")
    with pytest.raises(BackendBroken, match="gave None"):
        app.pool.fetch_job(app.job_store.list_jobs(JobQuery())[0].id)


class WrappedObserver:
    @hookimpl(wrapper=True)
    def chariots_job_event(self) -> Generator[None, None, None]:
        yield


class WrappedBlueprint:
    @hookimpl(wrapper=True)
    def chariots_blueprint(self) -> Generator[None, None, None]:
        yield


class WrappedCommand:
    @hookimpl(wrapper=True)
    def chariots_command(self) -> Generator[None, None, None]:
        yield


class Misspelt:
    @hookimpl
    def chariots_lookup_jobs(self, pool: BaseWorkerPool) -> None:
        pass


class ExtraArgument:
    @hookimpl
    def chariots_lookup_job(self, pool: BaseWorkerPool, id: str) -> None:
        pass


class Unmarked:
    def chariots_lookup_job(self, pool: BaseWorkerPool) -> None:
        pass


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        (WrappedObserver(), "cannot be wrapped"),
        (WrappedBlueprint(), "cannot be wrapped"),
        (WrappedCommand(), "cannot be wrapped"),
        (Misspelt(), "did you mean 'chariots_lookup_job'?"),
        (ExtraArgument(), "no argument 'id'"),
        (Unmarked(), "write @hookimpl above it"),
    ],
)
def test_faults_of_a_plugin(plugin: object, words: str) -> None:
    """
    A plugin with a fault is refused by name, and nothing of it is used.
    """
    manager = PluginManager()
    with pytest.raises(ConfigurationError, match="plugin 'odd'") as caught:
        manager.register(plugin, name="odd")
    assert words in str(caught.value)

    manager.register(Observer(), name="odd")


def test_one_name_for_two_plugins() -> None:
    """
    Two plugins cannot have one name.
    """
    manager = PluginManager()
    manager.register(Observer(), name="one")
    with pytest.raises(ConfigurationError, match=r"plugin 'one' .* another name"):
        manager.register(Observer(), name="one")


def test_two_names_for_one_plugin() -> None:
    """
    One object cannot be two plugins; the message says so, and shows no table of plugins.
    """
    manager, observer = PluginManager(), Observer()
    manager.register(observer, name="one")
    with pytest.raises(ConfigurationError, match="object of its own") as caught:
        manager.register(observer, name="two")

    assert "Observer" not in str(caught.value)


@pytest.mark.parametrize("name", ["backend:local", "local", "core:", "chariots-core"])
def test_plugin_may_be_called_like_something_else(name: str, tmp_path: Path) -> None:
    """
    The names of plugins and of backends have nothing to do with each other.
    """
    manager = PluginManager()
    manager.register(Observer(), name=name)
    pool = manager.create_worker_pool({"backend": "local", "url": f"sqlite:///{tmp_path}/jobs.db"})

    assert pool is not None
    assert "local" == pool.name


def test_other_names_and_defaults_are_left_alone() -> None:
    """
    An own argument with a default, another name by specname, an optional hook: all fine.
    """

    class Fancy:
        seen: list[str] = []  # noqa: RUF012

        @hookimpl(specname="chariots_job_event")
        def whatever(self, event_name: str, prefix: str = "seen ") -> None:
            self.seen.append(prefix + event_name)

        @hookimpl(optionalhook=True)
        def chariots_of_the_future(self) -> None: ...

        @property
        def chariots_property(self) -> None:
            raise AssertionError("a property is not run to be looked at")

    PluginManager().register(Fancy(), name="fancy")


def test_managers_share_nothing() -> None:
    """
    A plugin of one app is not a plugin of another.
    """
    one, two = PluginManager(), PluginManager()
    observer = Observer()
    one.register(observer, name="observer")
    two.register(observer, name="observer")

    assert one is not two


def test_hookspecs_are_documented() -> None:
    """
    Every hook says when it is called and what its arguments are.
    """
    assert 7 == len(HOOKS)
    for name, arguments in HOOKS.items():
        text = getattr(hookspecs, name).__doc__
        assert "Called" in text
        assert [] == [argument for argument in arguments if f"{argument}:" not in text]


def test_one_module_talks_to_pluggy() -> None:
    """
    Pluggy is imported where hooks are declared and where they are called, nowhere else.
    """
    root = Path(hookspecs.__file__).parents[1]
    found = {
        p.stem
        for p in root.rglob("*.py")
        if re.search(r"^\s*(import|from) pluggy", p.read_text(), re.MULTILINE)
    }

    assert {"hookspecs", "plugins"} == found
