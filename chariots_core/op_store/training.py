"""
Training: what a run works on, what it starts from, what it leaves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from chariots_core.errors import ArtifactCorrupt
from chariots_core.op_store import policy, states
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.loaded import Loaded
from chariots_core.op_store.policy import Part
from chariots_core.op_store.states import Template
from chariots_core.op_store.values import Manifest, OpVersion, SavedOp
from chariots_core.pipelines.ops import BaseOp, LoadableOp

_log: Final = logging.getLogger(__name__)


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


def training_ops(
    client: BaseOpStoreClient, template: Template, loaded: Loaded
) -> Mapping[str, BaseOp]:
    """
    Ops for one run: copies of the trained ones, at the newest state that any
    run of this pipeline gave or anybody saved, and the others as they are served.
    """
    newest = states.newest_trained(client, template)
    copies = states.copied({path: template.ops[path] for path in template.trained})
    for op in {id(op): op for op in copies.values()}.values():
        _restore(client, op, newest.get(op.name))
    return MappingProxyType({**loaded.ops, **copies})


def _restore(client: BaseOpStoreClient, op: BaseOp, stored: OpVersion | None) -> None:
    if stored is None or not states.fits(op, stored):
        return
    try:
        states.restore(client, op, stored)
    except ArtifactCorrupt as error:
        # training is the way out of a lost artifact, so it must be open
        _log.warning("op %r is trained from its fresh state: %s", op.name, error)
