"""
The pipelines of one app in one process: loaded, kept fresh, trained and saved.

Readers take an immutable snapshot and work on it to the end. Whoever loads
makes a new snapshot and swaps it in, in one step. What other processes change
is noticed by a look at the store, at most twice a second.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from itertools import chain
from typing import Final

import attrs

from chariots_core.errors import (
    PipelineNotFound,
    StoreUnavailable,
    VersionError,
)
from chariots_core.op_store import manifests, obstacles, remedies, states
from chariots_core.op_store.adoption import check_classes, moved
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.leases import TrainingLease
from chariots_core.op_store.loaded import Loaded, Loader
from chariots_core.op_store.obstacles import ChangedModels
from chariots_core.op_store.states import Template
from chariots_core.op_store.training import TrainingRun, begin
from chariots_core.op_store.values import Manifest, SavedOp
from chariots_core.pipelines.ops import BaseOp, LoadableOp
from chariots_core.pipelines.pipeline import Pipeline

_log: Final = logging.getLogger(__name__)
_clock: Final = time.monotonic

#: Seconds between two looks at the store.
FRESHNESS: Final = 0.5

#: Seconds between two looks, at most, at a store that lets its users wait for an error.
_LONGEST_PAUSE: Final = 15.0


def _in_the_request(_: str) -> bool:
    return False


def _some_app() -> str:
    return "MODULE:APP"


class LoadedPipelines:
    """
    The pipelines of one app, as this process serves them.

    Making it does no input or output; the first use registers pipelines that
    the store does not know, and loads all. Safe to share by threads, and over
    forks. The given pipelines and their ops are never changed: ops with state
    are copied here, and each load copies them again.

    Args:
        pipelines: the pipelines.
        client: the op store.
        freshness: seconds for which a look at the store is good.
        policy: what becomes of a model whose code declares other values now.
        on_worker: whether calls of a pipeline go to a worker, for the commands in
            errors.
        app: how to import the app, for the commands in errors.

    Raises:
        ConfigurationError: two classes of ops with state have one name.
        PipelineError: an op cannot be copied.
    """

    def __init__(
        self,
        pipelines: Iterable[Pipeline],
        client: BaseOpStoreClient,
        *,
        freshness: float = FRESHNESS,
        policy: ChangedModels = "warn",
        on_worker: Callable[[str], bool] = _in_the_request,
        app: Callable[[], str] = _some_app,
    ) -> None:
        copies: dict[int, BaseOp] = {}
        self._client = client
        self._loader = Loader(client=client, policy=policy)
        self._on_worker = on_worker
        self._app = app
        self._freshness = freshness
        self._templates = {
            pipeline.name: Template.of(pipeline, states.copied(pipeline.ops, copies))
            for pipeline in pipelines
        }
        states.check_names(self._templates.values())
        self._loaded: dict[str, Loaded] = {}
        self._revision = -1
        self._look_at = 0.0
        self._is_open = False
        self._outage = False
        self._would_serve: tuple[int, Mapping[str, int]] | None = None
        self.renew_locks()
        _instances.add(self)

    def renew_locks(self) -> None:
        """
        Forget who holds what: after a fork, the holders are in the other process.
        """
        self._lock = threading.RLock()
        self._training_locks: dict[str, threading.Lock] = {
            op: threading.Lock()
            for template in self._templates.values()
            for op in template.trained_ops
        }

    # -- reading

    def get(self, name: str) -> Loaded:
        """
        A pipeline as it is to be served now; whether it can be says `Loaded.check`.

        Raises:
            PipelineNotFound: there is no such pipeline.
            StoreUnavailable: the store was never reached by this process.
        """
        if not self._is_open or _clock() >= self._look_at:
            self.refresh()
        try:
            return self._loaded[name]
        except KeyError:
            raise self._not_found(name) from None

    def has_state(self, name: str) -> bool:
        """
        Whether a pipeline has ops whose state is in the store: whether it can change.
        """
        template = self._templates.get(name)
        return template is None or bool(template.code)

    def is_loaded(self, name: str) -> bool:
        """
        Whether a pipeline can be served.
        """
        return self.get(name).error is None

    def versions(self, name: str) -> Mapping[str, str]:
        """
        Name of each node of a pipeline to its version, as text.
        """
        return self.get(name).versions

    def open(self) -> None:
        """
        Register and load everything, if that was not done yet.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        if not self._is_open:
            self.refresh()

    def refresh(self, *, force: bool = False) -> None:
        """
        Look at the store, and load what was activated since the last time.

        One thread does; others go on with what there is, unless there is nothing.
        """
        if not self._lock.acquire(blocking=force or not self._is_open):
            return
        try:
            if self._is_open and not force and _clock() < self._look_at:
                return
            began = _clock()
            self._look_at = began + self._freshness
            self._follow_through_outages(began)
        finally:
            self._lock.release()

    def _follow_through_outages(self, began: float) -> None:
        try:
            self._follow()
        except StoreUnavailable as error:
            if not self._is_open:
                self._look_at = 0.0
                raise
            if not self._outage:
                _log.warning("pipelines are served as they were loaded last: %s", error)
            self._outage = True
            # a store that answers late must not make each request wait for it
            now = _clock()
            self._look_at = now + max(self._freshness, min(10 * (now - began), _LONGEST_PAUSE))
        else:
            self._outage = False

    def _follow(self) -> None:
        # read first: what changes after it is seen the next time
        revision = self._client.revision()
        if revision == self._revision and self._is_open:
            return
        if not self._is_open:
            check_classes(self._client, self._templates.values(), self._app())
        active = self._client.active_sets(self._templates)
        if new := self._templates.keys() - active.keys():
            self._register(sorted(new))
            active = self._client.active_sets(self._templates)
        loaded = {
            name: self._loader.follow(template, active[name], self._loaded.get(name))
            for name, template in self._templates.items()
        }
        self._loaded = self._explained(loaded)
        self._revision = revision
        self._is_open = True

    def _explained(self, loaded: Mapping[str, Loaded]) -> dict[str, Loaded]:
        """
        The snapshots, each blocked one with the error that names what to run.
        """
        policy = self._loader.policy
        blocked = [name for name, each in loaded.items() if each.obstacles.blocks(policy)]
        if not blocked:
            return dict(loaded)
        known = self._known(loaded)
        explained: dict[str, Loaded] = dict(loaded)
        for name in blocked:
            template, before = self._templates[name], self._loaded.get(name)
            plan = self._with_moved(template, loaded[name], remedies.plan(known, name))
            each = self._loader.explained(template, loaded[name], plan)
            explained[name] = each
            if before is None or str(before.error) != str(each.error):
                _log.warning("%s", each.error)
        return explained

    def _with_moved(self, template: Template, loaded: Loaded, plan: remedies.Plan) -> remedies.Plan:
        """
        A plan that also names the models of classes that have moved.
        """
        ops = {template.ops[path].name: template.ops[path] for path in loaded.obstacles.untrained}
        found = [
            hint
            for op in ops.values()
            if isinstance(op, LoadableOp)
            and (hint := moved(self._client, op, self._app(), self._templates.values()))
        ]
        return attrs.evolve(plan, decisions=(*plan.decisions, *found))

    # -- who serves what

    def serving(self) -> Mapping[str, int]:
        """
        Return the generation that each pipeline is served at in this process; 0: it cannot
        be served.

        A process that has opened nothing, as one that forks for its jobs, is asked what it
        would serve: no model is read.
        """
        if self._is_open:
            self.refresh()
            loaded = self._loaded
            return {
                name: each.generation if each.error is None else 0 for name, each in loaded.items()
            }
        revision = self._client.revision()
        if self._would_serve is None or self._would_serve[0] != revision:
            active = self._client.active_sets(self._templates)
            found = {
                name: self._loader.would_serve(self._templates[name], newest)
                for name, newest in active.items()
            }
            self._would_serve = revision, found
        return self._would_serve[1]

    def _known(self, loaded: Mapping[str, Loaded]) -> remedies.Known:
        """
        What plans for this app start from: the newest versions, and the links between them.
        """
        templates, policy = self._templates, self._loader.policy
        newest = self._client.newest(
            {op.name for template in templates.values() for op in template.ops.values()},
            code={
                op: code for template in templates.values() for op, code in template.code.items()
            },
        )
        parts = {
            name: obstacles.parts_to_serve(template, newest, policy, self._loader.declared)
            for name, template in templates.items()
        }
        asked = {
            name: states.asked_of(template, parts[name]) for name, template in templates.items()
        }
        links = states.links_of(chain.from_iterable(each.values() for each in asked.values()))
        return remedies.Known(
            templates=templates,
            parts=parts,
            bound={
                name: {part.op: part.version.identity for part in each.parts.values()}
                for name, each in loaded.items()
            },
            asked=asked,
            valid=self._client.valid(links),
            blocked={name for name, each in loaded.items() if each.obstacles.blocks(policy)},
            on_worker=self._on_worker,
        )

    def _register(self, names: Iterable[str]) -> None:
        described: dict[str, SavedOp] = {}
        first = [manifests.first(self._client, self._templates[name], described) for name in names]
        self._client.register(first)

    # -- training

    def training(
        self, name: str, *, job_id: str | None = None, timeout: float | None = None
    ) -> AbstractContextManager[TrainingRun]:
        """
        A run of a pipeline that trains: the block runs it, stages, and publishes.

        Trainings of one op follow one another, over all processes of the store.

        Args:
            name: the pipeline's name.
            job_id: the job that trains, if one does.
            timeout: seconds to wait for other trainings of the same op; ``None``: for
                as long as they take.

        Raises:
            VersionError: the ops that are not trained do not belong together.
            OpStoreError: the state of one of them cannot be read.
            TrainingInProgress: another run trains the same op.
        """
        template = self._template(name)
        # always in the same order, so that two trainings never wait for each other
        locks = [self._training_locks[op] for op in sorted(template.trained_ops)]
        lease = TrainingLease(self._client, template.trained_ops, job_id=job_id, timeout=timeout)
        return _Training(
            locks,
            lease,
            partial(self._begin_training, template, lease),
            ends_when_published=job_id is not None,
        )

    def _begin_training(self, template: Template, lease: TrainingLease) -> TrainingRun:
        return begin(self._client, template, self.get(template.name).check(), lease)

    def discard(self, name: str) -> None:
        """
        Forget the ops of a pipeline, whose state may be half of a run: they are read again.
        """
        with self._lock:
            # of no set: the next look reads whatever is active
            stale = attrs.evolve(self._loaded[name], generation=-1, newest=(-1, -1))
            self._loaded = {**self._loaded, name: stale}
            self._revision, self._look_at = -1, 0.0

    def publish(self, manifest: Manifest) -> bool:
        """
        Publish what a run staged; return whether it was new.

        What a job trained is saved and valid from then on. What a run without
        a job trained is the pipeline's candidate until the pipeline is saved.
        """
        is_new = self._client.publish(manifest)
        self._look_at = 0.0
        return is_new

    # -- what clients ask for

    def load(self, name: str) -> Loaded:
        """
        Serve a pipeline at its newest saved versions, in every process.

        Raises:
            PipelineNotFound: there is no such pipeline.
            VersionError: the versions were never validated together.
            OpStoreError: the state of an op cannot be read.
            StoreUnavailable: the store cannot be reached.

        After any of them everything is as it was.
        """
        template = self._template(name)
        with self._lock:
            self.refresh(force=True)
            try:
                loaded = self._loader.activate(template, self._loaded[name])
            except VersionError:
                # once more, for an error that names what to run
                known = self._known(self._loaded)
                plan = self._with_moved(template, self._loaded[name], remedies.plan(known, name))
                loaded = self._loader.activate(template, self._loaded[name], plan)
            self._loaded = {**self._loaded, name: loaded}
            return loaded

    def save(self, name: str) -> None:
        """
        Save a pipeline: what its newest run trained, in whichever process, and
        the state that this process has built up; and validate its links.

        Raises:
            PipelineNotFound: there is no such pipeline.
            OpStoreError: the state of an op cannot be read or saved.
            StoreUnavailable: the store cannot be reached.
        """
        template = self._template(name)
        with self._lock:
            # again as often as a run ends meanwhile: what it trained is saved as well
            while not self._save_what_there_is(template):
                pass
            self.refresh(force=True)

    def _save_what_there_is(self, template: Template) -> bool:
        self.refresh(force=True)
        loaded = self._loaded[template.name]
        if not loaded.is_blocked:
            loaded.check()
        candidate = self._client.candidate(template.name)
        manifest = manifests.to_save(self._client, template, loaded, candidate)
        return self._client.release(manifest, candidate=candidate)

    def _template(self, name: str) -> Template:
        try:
            return self._templates[name]
        except KeyError:
            raise self._not_found(name) from None

    def _not_found(self, name: str) -> PipelineNotFound:
        known = ", ".join(repr(known) for known in sorted(self._templates)) or "none"
        return PipelineNotFound(f"no pipeline {name!r}: this app has {known}")


class _Training:
    """
    Locks and a lease held around a run. Written as a class: `contextlib.contextmanager` sets
    attributes of an exception that passes, and replaces one that refuses them.
    """

    def __init__(
        self,
        locks: Sequence[threading.Lock],
        lease: TrainingLease,
        begin: Callable[[], TrainingRun],
        *,
        ends_when_published: bool,
    ) -> None:
        self._locks = locks
        self._lease = lease
        self._begin = begin
        self._ends_when_published = ends_when_published
        self._held = ExitStack()

    def __enter__(self) -> TrainingRun:
        with self._lease.take_turn(self._locks) as stack:
            self._lease.take()
            try:
                run = self._begin()
            except BaseException:
                self._lease.end()
                raise
            self._held = stack.pop_all()
        return run

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._held:
            if kind is None and self._ends_when_published:
                self._lease.leave()
            else:
                self._lease.end()


_instances: Final[weakref.WeakSet[LoadedPipelines]] = weakref.WeakSet()


def _after_fork() -> None:
    for pipelines in list(_instances):
        pipelines.renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
