"""
Snapshots: pipelines as a process serves them.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Final

import attrs

from chariots_core.errors import ChariotsError, StoreUnavailable
from chariots_core.op_store import states
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.policy import Part
from chariots_core.op_store.states import Template
from chariots_core.op_store.values import ActiveSet, OpVersion
from chariots_core.pipelines.ops import BaseOp

_log: Final = logging.getLogger(__name__)


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


def from_set(client: BaseOpStoreClient, template: Template, active: ActiveSet) -> Loaded:
    """
    A pipeline at its active set. What keeps it from being served is its error.

    Raises:
        StoreUnavailable: the store cannot be reached.
    """
    ops, error = template.ops, None
    try:
        ops = states.restored(client, template, active.ops, without=template.trained)
    except StoreUnavailable:
        raise
    except ChariotsError as failure:
        error = failure
    parts = states.parts_of(ops, active.ops)
    error = error or states.check(client, template, parts)
    if error is not None:
        _log.warning("pipeline %r cannot be served: %s", template.name, error)
    return with_trained(client, template, _made(template, active, ops, parts, error))


def activated(client: BaseOpStoreClient, template: Template) -> Loaded:
    """
    A pipeline at its newest saved versions, which are its active set from now on.

    Raises:
        VersionError: the versions were never validated together.
        OpStoreError: the state of an op cannot be read.
    """
    stored = states.latest(client, template)
    ops = states.restored(client, template, stored, without=template.trained)
    parts = states.parts_of(ops, stored)
    error = states.check(client, template, parts)
    if error is not None:
        raise error
    active = client.activate(template.name, states.members(ops, stored))
    # as the store has them now: every process shows the same creation times
    parts = states.parts_of(ops, active.ops)
    return with_trained(client, template, _made(template, active, ops, parts, None))


def with_trained(client: BaseOpStoreClient, template: Template, loaded: Loaded) -> Loaded:
    """
    The same, showing the versions that the next training starts from.
    """
    if not template.trained:
        return loaded
    known = states.newest_trained(client, template)
    versions = {path: part.version for path, part in loaded.parts.items()}
    for path in template.trained:
        op = template.ops[path].name
        if op in known:
            versions[path] = known[op].version
    return attrs.evolve(loaded, versions=states.versions_as_text(template, versions))


def _made(
    template: Template,
    active: ActiveSet,
    ops: Mapping[str, BaseOp],
    parts: Mapping[str, Part],
    error: ChariotsError | None,
) -> Loaded:
    versions = {path: part.version for path, part in parts.items()}
    return Loaded(
        generation=active.generation,
        ops=ops,
        versions=states.versions_as_text(template, versions),
        trains=bool(template.trained),
        error=error,
        stored=active.ops,
        parts=parts,
    )
