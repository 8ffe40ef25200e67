"""
Snapshots: pipelines as a process serves them, and as a run trains them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import attrs

from chariots_core.errors import ChariotsError
from chariots_core.op_store import policy, states
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.policy import Part
from chariots_core.op_store.states import Template
from chariots_core.op_store.values import Manifest, OpVersion, SavedOp
from chariots_core.pipelines.ops import BaseOp, LoadableOp


@attrs.frozen(kw_only=True)
class Loaded:
    """
    One pipeline as this process serves it now. It never changes.

    Attributes:
        generation: the generation of its active set.
        ops: leaf path to op. Ops that the pipeline trains have no loaded
            state here: a run of them works on copies, see `LoadedPipelines.training`.
        versions: name of each node to its version, as text.
        trains: whether a run trains something.
        error: why it cannot be served, if it cannot.
        stored: op name to the stored version of its state.
        parts: leaf path to what the policy knows of it.
    """

    generation: int
    ops: Mapping[str, BaseOp]
    versions: Mapping[str, str]
    trains: bool
    error: ChariotsError | None = None
    stored: Mapping[str, OpVersion] = attrs.field(repr=False)
    parts: Mapping[str, Part] = attrs.field(repr=False)

    @property
    def is_loaded(self) -> bool:
        """
        Whether it can be served.
        """
        return self.error is None

    def check(self) -> Loaded:
        """
        Itself, if it can be served.

        Raises:
            VersionError: its versions were never validated together.
            OpStoreError: the state of one of its ops cannot be read.
        """
        if self.error is not None:
            # a copy, since each raising writes its own traceback
            raise copy.copy(self.error) from self.error.__cause__
        return self


@attrs.frozen(kw_only=True)
class TrainingRun:
    """
    What one run of a pipeline that trains works on.

    Attributes:
        ops: leaf path to op; the trained ones are the run's own copies.
    """

    ops: Mapping[str, BaseOp]
    _loaded: Loaded
    _template: Template
    _client: BaseOpStoreClient

    def versions(self) -> Mapping[str, str]:
        """
        Name of each node to its version now: after the run, with what it trained.
        """
        now = {path: part.version for path, part in self._parts().items()}
        return states.versions_as_text(self._template, now)

    def stage(self, *, job_id: str | None = None, attempt: int = 0) -> Manifest:
        """
        Put the bytes of what was trained, and say what would be published.

        The store knows nothing of it until the manifest is published.
        """
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
        before = self._loaded.parts
        return {
            path: attrs.evolve(before[path], version=op.op_version)
            if self._is_trained(path)
            else before[path]
            for path, op in self.ops.items()
        }

    def _is_trained(self, path: str) -> bool:
        op = self.ops[path]
        return path in self._template.trained or (
            isinstance(op, LoadableOp) and op.op_version != self._loaded.parts[path].version
        )

    def _saved(self, parts: Mapping[str, Part]) -> Iterator[SavedOp]:
        trained = {op.name: op for path, op in self.ops.items() if self._is_trained(path)}
        for op in trained.values():
            yield states.described(self._client, op, trained=True)
        others = {op.name: (parts[path], op) for path, op in self.ops.items()}
        for name, (part, op) in others.items():
            # stored versions are there already; links must not name what is not
            if name not in trained and not (part.stateful and part.from_store):
                yield states.described(self._client, op)
