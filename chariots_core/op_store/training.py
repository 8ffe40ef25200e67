"""
Training runs: their ops, their start states, and the manifests that they leave.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import MappingProxyType
from typing import Final

import attrs

from chariots_core.errors import ArtifactCorrupt, ChariotsError, OpStoreError
from chariots_core.op_store import policy, states
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.leases import UNTIL_PUBLISHED, TrainingLease
from chariots_core.op_store.loaded import Loaded
from chariots_core.op_store.origins import differences
from chariots_core.op_store.policy import Part
from chariots_core.op_store.states import Template
from chariots_core.op_store.values import Manifest, OpVersion, SavedOp
from chariots_core.pipelines.ops import BaseOp, LoadableOp

_log: Final = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class TrainingRun:
    """
    One run of a pipeline that trains.

    Attributes:
        ops: leaf path to op; the trained ones are the run's own copies.
    """

    ops: Mapping[str, BaseOp]
    _loaded: Loaded
    _template: Template
    _client: BaseOpStoreClient
    # identity of the version that each trained op began with, by the op's name
    _began: Mapping[str, str]
    # identity of the saved version that a training continues from, by the op's name
    _continued: Mapping[str, str]
    _lease: TrainingLease

    def versions(self) -> Mapping[str, str]:
        """
        Return the version of each node, by its name: after the run, the trained versions.
        """
        now = {path: part.version for path, part in self._parts().items()}
        return states.versions_as_text(self._template, now)

    def stage(self, *, job_id: str | None = None, attempt: int = 0) -> Manifest:
        """
        Put the bytes of the trained ops, and return the manifest to publish.

        The versions exist in the store only after the publication.

        Raises:
            TrainingInProgress: the run was halted, and another one trains the same op.
        """
        self._lease.check()
        parts = self._parts()
        links = (policy.link_between(parts[up], parts[down]) for up, down in self._template.edges)
        return Manifest(
            pipeline=self._template.name,
            job_id=job_id,
            attempt=attempt,
            saved=tuple(self._saved(parts)),
            links=tuple(dict.fromkeys(links)),
        )

    def _parts(self) -> Mapping[str, Part]:
        self._mark_trained()
        before = self._loaded.parts
        return {
            path: attrs.evolve(before[path], version=op.op_version)
            if self._is_trained(path)
            else before[path]
            for path, op in self.ops.items()
        }

    def _mark_trained(self) -> None:
        """
        Give each trained op a version of its own, unless it gave itself one.

        Each training needs a version of its own.
        """
        for path in self._template.trained:
            op = self.ops[path]
            if isinstance(op, LoadableOp) and op.op_version.identity == self._began[op.name]:
                op.mark_trained()

    def _is_trained(self, path: str) -> bool:
        op = self.ops[path]
        return path in self._template.trained or (
            isinstance(op, LoadableOp) and op.op_version != self._loaded.parts[path].version
        )

    def _saved(self, parts: Mapping[str, Part]) -> Iterator[SavedOp]:
        trained = {op.name: op for path, op in self.ops.items() if self._is_trained(path)}
        for op in trained.values():
            yield states.described(
                self._client, op, trained=True, continued_from=self._continued.get(op.name)
            )
        others = {op.name: (parts[path], op) for path, op in self.ops.items()}
        for name, (part, op) in others.items():
            # stored versions are there already; links must not name what is not
            if name not in trained and not (part.stateful and part.from_store):
                yield states.described(self._client, op)


class Training:
    """
    A run with the locks and the lease that it needs, as a context. Written as a class: `contextlib.contextmanager` sets
    attributes of an exception that passes, and replaces one that refuses them.
    """

    def __init__(
        self,
        locks: Sequence[threading.Lock],
        lease: TrainingLease,
        begin: Callable[[], TrainingRun],
        *,
        ends_when_published: bool,
        continues: bool,
    ) -> None:
        self._locks = locks
        self._lease = lease
        self._begin = begin
        self._ends_when_published = ends_when_published
        self._continues = continues
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
                self._lease.leave(UNTIL_PUBLISHED if self._continues else None)
            else:
                self._lease.end()


def begin(
    client: BaseOpStoreClient, template: Template, loaded: Loaded, lease: TrainingLease
) -> TrainingRun:
    """
    Return a run whose trained ops are copies with the fresh state of the code. The
    others are as they are served.

    An op with `LoadableOp.continue_training` has the newest state that any run of
    this pipeline trained or that was saved, if the code that made that state
    declared the same.

    Raises:
        UntrustedArtifact: a trained state could not be loaded again.
    """
    copies = states.copied({path: template.ops[path] for path in template.trained})
    trained = {op.name: op for op in copies.values() if isinstance(op, LoadableOp)}
    for op in trained.values():
        _check_saveable(op)
    continuing = {name: op for name, op in trained.items() if op.continue_training}
    newest = states.newest_trained(client, template) if continuing else {}
    continued = {
        name: newest[name].version.identity
        for name, op in continuing.items()
        if name in newest and _restore(client, op, newest[name])
    }
    return TrainingRun(
        ops=MappingProxyType({**loaded.ops, **copies}),
        loaded=loaded,
        template=template,
        client=client,
        began={name: op.op_version.identity for name, op in trained.items()},
        continued=continued,
        lease=lease,
    )


def _check_saveable(op: LoadableOp) -> None:
    try:
        op.check_saveable()
    except ChariotsError:
        raise
    except Exception as error:
        raise OpStoreError(
            f"op {op.name!r} is not trained, since its state could not be saved: "
            f"{type(error).__name__}: {error}"
        ) from error


def _restore(client: BaseOpStoreClient, op: LoadableOp, stored: OpVersion) -> bool:
    if not states.fits(op, stored):
        return False
    if found := differences(op, stored):
        _log.warning(
            "op %r is trained from a fresh state, and does not continue: %s",
            op.name,
            ", ".join(each.text for each in found),
        )
        return False
    try:
        states.restore(client, op, stored)
    except ArtifactCorrupt as error:
        # training is the way out of a lost artifact, so it must be open
        _log.warning("op %r is trained from its fresh state: %s", op.name, error)
        return False
    return True
