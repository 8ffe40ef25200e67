"""
Plugins in use: the one module that talks to pluggy; the rest calls typed methods.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

import pluggy

from chariots_core.errors import (
    BackendBroken,
    BackendMisconfigured,
    ConfigurationError,
)
from chariots_core.jobs.record import JobRecord
from chariots_core.workers import hookspecs
from chariots_core.workers.capabilities import BackendInfo
from chariots_core.workers.discovery import (
    BACKEND_NAME,
    PLUGINS_GROUP,
    ambiguities,
    find_backend,
    find_entries,
)
from chariots_core.workers.loading import (
    check_extension,
    guarded,
    kind_of,
    load_backend,
    load_extension,
)
from chariots_core.workers.options import read_setting
from chariots_core.workers.pool import BaseWorkerPool
from chariots_core.workers.requests import SubmitRequest

_log = logging.getLogger(__name__)

T = TypeVar("T")

#: What an app may say of its workers: a pool, a backend's name, or a mapping
#: with the name under ``"backend"`` and the options beside it.
WorkerPoolSpec: TypeAlias = BaseWorkerPool | str | Mapping[str, Any]

#: What pluggy is told in front of a name: a plugin may be called whatever it
#: likes, and takes no backend's name away.
_PLUGIN: Final = "plugin:"
_BACKEND: Final = "backend:"


class CoreHooks:
    """
    Core's own implementation of the hooks about jobs: ask the pool, after all others.
    """

    @hookspecs.hookimpl(trylast=True)
    def chariots_execute_pipeline(self, pool: BaseWorkerPool, request: SubmitRequest) -> bool:
        pool.submit(request)
        return True

    @hookspecs.hookimpl(trylast=True)
    def chariots_lookup_job(self, pool: BaseWorkerPool, job_id: str) -> JobRecord:
        return pool.lookup(job_id)


class PluginManager:
    """
    The plugins of one app.

    Making one loads the installed plugins of the group ``chariots.plugins``. A
    broken one is logged and left out; `problems` tells of it. Backends are
    loaded when they are asked for, and only those.

    Args:
        disabled: names of plugins to leave out; ``None`` reads
            ``CHARIOTS_DISABLE_PLUGINS``: names with commas between, or ``*``.
        strict: whether a broken plugin is an error; ``None`` reads
            ``CHARIOTS_STRICT_PLUGINS``.

    Raises:
        ConfigurationError: *strict*, and a plugin is broken.
    """

    def __init__(
        self, *, disabled: Iterable[str] | None = None, strict: bool | None = None
    ) -> None:
        self._pluggy = pluggy.PluginManager(hookspecs.PROJECT)
        self._pluggy.add_hookspecs(hookspecs)
        self._pluggy.register(CoreHooks(), "core:")
        self._infos: dict[str, BackendInfo] = {}
        self._problems: dict[str, str] = {}
        environ = os.environ
        if disabled is None:
            disabled = environ.get("CHARIOTS_DISABLE_PLUGINS", "").split(",")
        if strict is None:
            strict = environ.get("CHARIOTS_STRICT_PLUGINS", "") not in {"", "0"}
        self._load_extensions({name.strip() for name in disabled}, strict=strict)

    # -- plugins

    @property
    def problems(self) -> Mapping[str, str]:
        """
        What is wrong with the plugins that were left out, by plugin.
        """
        return MappingProxyType(self._problems)

    def register(self, plugin: object, *, name: str) -> None:
        """
        Use *plugin*, any object with hooks, as if it were installed.

        Raises:
            ConfigurationError: one of its hooks is wrong, or the name is taken.
        """
        check_extension(plugin, f"plugin {name!r}")
        if self._pluggy.has_plugin(f"{_PLUGIN}{name}"):
            raise ConfigurationError(
                f"plugin {name!r} cannot be used: another one has that name; give it another name"
            )
        try:
            self._pluggy.register(plugin, f"{_PLUGIN}{name}")
        except pluggy.PluginValidationError as error:
            raise ConfigurationError(f"plugin {name!r} cannot be used: {error}") from error
        except ValueError as error:
            raise ConfigurationError(
                f"plugin {name!r} cannot be used beside another name of the same plugin: "
                "give each name an object of its own"
            ) from error

    def use_backend(self, name: str) -> BackendInfo:
        """
        Import and check the installed backend *name*, once; other backends are left alone.

        Raises:
            BackendNotInstalled: none has the name.
            BackendAmbiguous: several have.
            BackendBroken: it cannot be imported, or its hooks are wrong.
            BackendIncompatible: it was written for another contract.
        """
        if name not in self._infos:
            plugin, info = load_backend(find_backend(name))
            self._register_backend(plugin, name)
            self._infos[name] = info
        return self._infos[name]

    def create_worker_pool(
        self, worker_pool: WorkerPoolSpec | None, *, environ: Mapping[str, str] = os.environ
    ) -> BaseWorkerPool | None:
        """
        Make the pool that an app or its environment asks for.

        Args:
            worker_pool: what the code says; ``None`` reads ``CHARIOTS_WORKER_POOL``,
                a backend's name or a JSON object.
            environ: the environment.

        Returns:
            The pool, not bound to an app; ``None`` if nobody asks for one.

        Raises:
            BackendError: it cannot be made; see `use_backend`.
            BackendMisconfigured: its options are wrong.
        """
        if worker_pool is None:
            text = environ.get("CHARIOTS_WORKER_POOL", "").strip()
            if not text:
                return None
            worker_pool = read_setting(text)
        if isinstance(worker_pool, BaseWorkerPool):
            return worker_pool
        name, options = _read_spec(worker_pool)
        self.use_backend(name)
        return self._create(name, options)

    # -- hooks about jobs

    @property
    def watch_hand_overs(self) -> bool:
        """
        Whether somebody beside core implements the hook ``chariots_execute_pipeline``.
        """
        return len(self._pluggy.hook.chariots_execute_pipeline.get_hookimpls()) > 1

    def execute_pipeline(self, pool: BaseWorkerPool, request: SubmitRequest) -> None:
        """
        Hand one recorded job over; what a plugin raises comes through.
        """
        done = self._pluggy.hook.chariots_execute_pipeline(pool=pool, request=request)
        if done is not True:
            raise BackendBroken(
                f"hook chariots_execute_pipeline gave {done!r} for job {request.job_id!r}: "
                f"a plugin that wraps it must return what it got",
                backend=pool.name,
            )

    def lookup_job(self, pool: BaseWorkerPool, job_id: str) -> JobRecord:
        """
        Answer for one job; what a plugin raises comes through.
        """
        record = self._pluggy.hook.chariots_lookup_job(pool=pool, job_id=job_id)
        if not isinstance(record, JobRecord):
            raise BackendBroken(
                f"hook chariots_lookup_job gave {kind_of(record)} for job {job_id!r}: "
                f"a plugin must return a JobRecord, or None for 'not mine'",
                backend=pool.name,
            )
        return record

    def job_event(self, app: str, event_name: str, record: JobRecord) -> None:
        """
        Tell every observer; one that raises is logged, and the next is told.
        """
        self._ask_each(
            self._pluggy.hook.chariots_job_event,
            {"app": app, "event_name": event_name, "record": record},
            f"observe event {event_name!r} of job {record.id}; the job goes on",
        )

    # -- hooks about servers and commands

    def blueprints(self, server: object) -> list[Any]:
        """
        The blueprints of all plugins for a server; one that raises is logged and left out.
        """
        return self._ask_each(
            self._pluggy.hook.chariots_blueprint, {"server": server}, "give its blueprint"
        )

    def commands(self) -> list[Any]:
        """
        The commands of all plugins; one that raises is logged and left out.
        """
        return self._ask_each(self._pluggy.hook.chariots_command, {}, "give its command")

    # -- inside

    def _ask_each(
        self, hook: pluggy.HookCaller, facts: Mapping[str, object], what: str
    ) -> list[Any]:
        """
        What each implementation returns, but for nothing; one that raises is
        logged, and the next is asked.
        """
        found = []
        for impl in reversed(hook.get_hookimpls()):
            try:
                answer = impl.function(*(facts[name] for name in impl.argnames))
            except (Exception, SystemExit):  # noqa: BLE001 - a plugin may raise anything
                _log.exception(
                    "plugin %r failed to %s", impl.plugin_name.removeprefix(_PLUGIN), what
                )
            else:
                found += [] if answer is None else [answer]
        return found

    def _load_extensions(self, disabled: set[str], *, strict: bool) -> None:
        entries = () if "*" in disabled else find_entries(PLUGINS_GROUP)
        ambiguous = ambiguities(entries)
        for entry in entries:
            if entry.name in disabled:
                continue
            try:
                if entry.name in ambiguous:
                    raise ConfigurationError(ambiguous[entry.name])
                self.register(load_extension(entry), name=entry.name)
            except ConfigurationError as error:
                if strict:
                    raise
                self._problems[str(entry)] = str(error)
                _log.warning("%s is left out: %s", entry, error)

    def _register_backend(self, plugin: object, name: str) -> None:
        try:
            self._pluggy.register(plugin, f"{_BACKEND}{name}")
        except pluggy.PluginValidationError as error:
            raise BackendBroken(
                f"backend {name!r} cannot be used: {error}", backend=name
            ) from error
        except ValueError as error:
            raise BackendBroken(
                f"backend {name!r} cannot be used beside another name of the same plugin: "
                f"give each name an object of its own",
                backend=name,
            ) from error

    def _create(self, name: str, options: Mapping[str, Any]) -> BaseWorkerPool:
        # Of several backends in use, only the one asked for is to answer.
        others = [
            plugin
            for key, plugin in self._pluggy.list_name_plugin()
            if key.startswith(_BACKEND) and key != f"{_BACKEND}{name}"
        ]
        create = self._pluggy.subset_hook_caller("chariots_create_worker_pool", others)
        pool = guarded(
            lambda: create(name=name, options=MappingProxyType(dict(options))),
            f"backend {name!r} failed to make its worker pool",
            backend=name,
        )
        if not isinstance(pool, BaseWorkerPool):
            raise BackendBroken(
                f"backend {name!r} made {kind_of(pool)} where a BaseWorkerPool is due: "
                f"correct its hook chariots_create_worker_pool",
                backend=name,
            )
        pool.name = name
        return pool


def _read_spec(spec: object) -> tuple[str, Mapping[str, Any]]:
    options: Mapping[str, Any] = {}
    name: object = spec
    if isinstance(spec, Mapping):
        name = spec.get("backend")
        options = {key: value for key, value in spec.items() if key != "backend"}
    if not isinstance(name, str) or not BACKEND_NAME.fullmatch(name):
        raise BackendMisconfigured(
            "worker_pool must be a pool, a backend's name (letters, digits, '_', '.', '-'), "
            "or a mapping with the name under 'backend'; "
            f"got {kind_of(spec)} without such a name"
        )
    return name, options
