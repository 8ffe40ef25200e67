"""
Loading and saving a pipeline that its user runs without an app.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from chariots_core.op_store import obstacles, policy, states
from chariots_core.op_store.remedies import Remedy
from chariots_core.op_store.states import Template
from chariots_core.op_store.values import Manifest, OpVersion, SavedOp
from chariots_core.pipelines.ops import BaseOp
from chariots_core.pipelines.pipeline import Pipeline

if TYPE_CHECKING:
    from chariots_core.op_store.client import BaseOpStoreClient

_log: Final = logging.getLogger(__name__)


def load_pipeline(client: BaseOpStoreClient, pipeline: Pipeline) -> Mapping[str, BaseOp]:
    """
    New ops at the newest saved versions, which become the pipeline's active set.

    Raises:
        VersionError: they were never validated together; nothing is changed.
    """
    template = Template.of(pipeline)
    stored = states.latest(client, [template])
    ops = states.restored(client, template, stored)
    parts = states.parts_of(ops, stored)
    found = obstacles.find(client, template, stored, parts)
    if found.blocks("warn"):
        raise obstacles.error_of(template, found, parts, Remedy(), "warn")
    for warning in obstacles.warnings_of(found, parts, "warn"):
        _log.warning("pipeline %r: %s", pipeline.name, warning)
    wanted = states.members(ops, stored)
    if not _is_active(client, pipeline.name, wanted):
        client.activate(pipeline.name, wanted)
    return ops


def _is_active(client: BaseOpStoreClient, pipeline: str, wanted: list[SavedOp]) -> bool:
    active = client.active(pipeline)
    return active is not None and {
        (op.op, op.version, op.digest) for op in active.ops.values()
    } == {(op.op, op.version, op.digest) for op in wanted}


def save_pipeline(client: BaseOpStoreClient, pipeline: Pipeline) -> None:
    """
    Save the bound ops as they are, and validate the links between them.

    A pipeline that the store does not know is registered with them.
    """
    template = Template.of(pipeline)
    bound = _stored_as_bound(client, template)
    parts = states.parts_of(template.ops, bound)
    trained = template.trained_ops - bound.keys()
    saved = tuple(
        states.described(client, op, trained=op.name in trained)
        for op in states.by_name(template).values()
    )
    first = policy.first_links(template.edges, parts)
    if client.register([Manifest(pipeline=pipeline.name, saved=saved, links=first)]):
        return
    run = None
    if trained:
        every = (
            policy.link_between(parts[upstream], parts[downstream])
            for upstream, downstream in template.edges
        )
        run = Manifest(pipeline=pipeline.name, saved=saved, links=tuple(every))
    links = policy.saved_links(template.edges, parts, run)
    client.publish(Manifest(pipeline=pipeline.name, saved=saved, links=links), release=True)


def _stored_as_bound(client: BaseOpStoreClient, template: Template) -> Mapping[str, OpVersion]:
    newest = client.newest({op.name for op in template.ops.values()})
    bound = {op.name: op.op_version for op in states.by_name(template).values()}
    return {name: known for name, known in newest.items() if known.version == bound[name]}
