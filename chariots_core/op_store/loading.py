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
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from types import MappingProxyType
from typing import Final

import attrs

from chariots_core.errors import (
    PipelineNotFound,
    StoreUnavailable,
    VersionError,
)
from chariots_core.op_store import manifests, states
from chariots_core.op_store.adoption import adopt, check_classes
from chariots_core.op_store.advice import Adviser
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.leases import TrainingLease
from chariots_core.op_store.loaded import Loaded, Loader
from chariots_core.op_store.obstacles import ChangedModels
from chariots_core.op_store.states import Template
from chariots_core.op_store.training import Training, TrainingRun, begin
from chariots_core.op_store.values import Manifest, SavedOp
from chariots_core.pipelines.ops import BaseOp, LoadableOp
from chariots_core.pipelines.pipeline import Pipeline
from chariots_core.versioning import Version

_log: Final = logging.getLogger(__name__)
_clock: Final = time.monotonic

#: Seconds between two looks at the store.
FRESHNESS: Final = 0.5

#: Seconds between two looks, at most, at a store that lets its users wait for an error.
_LONGEST_PAUSE: Final = 15.0


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
        policy: how to treat a model whose code declares other values now.
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
        on_worker: Callable[[str], bool] = lambda _: False,
        app: Callable[[], str] = lambda: "MODULE:APP",
    ) -> None:
        copies: dict[int, BaseOp] = {}
        self._client = client
        self._loader = Loader(client=client, policy=policy)
        self._app = app
        self._freshness = freshness
        self._templates = {
            pipeline.name: Template.of(pipeline, states.copied(pipeline.ops, copies))
            for pipeline in pipelines
        }
        states.check_names(self._templates.values())
        digests = {name: template.code_digest for name, template in self._templates.items()}
        #: Pipeline to a digest of the code of its ops, for pipelines that have state.
        self.code = MappingProxyType({name: code for name, code in digests.items() if code})
        self._adviser = Adviser(
            loader=self._loader, templates=self._templates, on_worker=on_worker, app=app
        )
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
            self.check_classes()
        active = self._client.active_sets(self._templates)
        if new := self._templates.keys() - active.keys():
            self._register(sorted(new))
            active = self._client.active_sets(self._templates)
        loaded = {
            name: self._loader.follow(template, active[name], self._loaded.get(name))
            for name, template in self._templates.items()
        }
        self._loaded = self._adviser.explained(loaded, self._loaded)
        self._revision = revision
        self._is_open = True

    # -- presence

    def serving(self) -> tuple[int, Mapping[str, int]]:
        """
        Return the revision of the store that was seen last, and the generation that each
        pipeline is served at in this process; 0: it cannot be served.

        A process that has not opened the pipelines, such as one that forks for its jobs,
        returns the generations that it would serve. It reads no model.
        """
        if self._is_open:
            self.refresh()
            # in this order: a set that is loaded meanwhile is newer than the revision
            revision, loaded = self._revision, self._loaded
            return revision, {
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
        return self._would_serve

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
        return Training(
            locks,
            lease,
            partial(self._begin_training, template, lease),
            ends_when_published=job_id is not None,
            continues=any(
                isinstance(op, LoadableOp) and op.continue_training
                for op in (template.ops[path] for path in template.trained)
            ),
        )

    def _begin_training(self, template: Template, lease: TrainingLease) -> TrainingRun:
        return begin(self._client, template, self.get(template.name).check(), lease)

    def discard(self, name: str) -> None:
        """
        Forget the ops of a pipeline, whose state may be half of a run: they are read again.
        """
        with self._lock:
            # the key of no set: the next look reads the ops again
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
            except VersionError as error:
                # the same error with the commands to run
                raise self._adviser.refusal(name, self._loaded) or error from error.__cause__
            self._loaded = {**self._loaded, name: loaded}
            return loaded

    def check_classes(self) -> None:
        """
        Check that the store keeps no other classes under the names of the app's ops.

        Raises:
            OpNameConflict: a name belongs to another class.
            StoreUnavailable: the store cannot be reached.
        """
        check_classes(self._client, self._templates.values(), self._app())

    def adopt(self, names: Collection[str] = ()) -> Mapping[str, Version]:
        """
        Take over the newest models of ops whose class moved.

        Args:
            names: the ops; none: all whose models another class saved.

        Returns:
            Op to its version from now on.

        Raises:
            OpVersionNotFound: the app or the store has no such op.
            StoreUnavailable: the store cannot be reached.
        """
        return adopt(self._client, self._templates.values(), names)

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


_instances: Final[weakref.WeakSet[LoadedPipelines]] = weakref.WeakSet()


def _after_fork() -> None:
    for pipelines in list(_instances):
        pipelines.renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
