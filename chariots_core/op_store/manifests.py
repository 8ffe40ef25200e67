"""
What is written when a pipeline is registered, and when it is saved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import attrs

from chariots_core.op_store import policy, states
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.loaded import Loaded
from chariots_core.op_store.states import Template
from chariots_core.op_store.values import Manifest, OpVersion, SavedOp
from chariots_core.pipelines.ops import LoadableOp
from chariots_core.versioning import version_of


def first(client: BaseOpStoreClient, template: Template, described: dict[str, SavedOp]) -> Manifest:
    """
    A pipeline's first versions: the newest saved ones, and its own where there are none.

    Args:
        client: where bytes are put.
        template: the pipeline.
        described: what other pipelines of the app have of the same ops; added to.
    """
    stored = states.latest(client, [template])
    parts = states.parts_of(template.ops, stored)
    saved: dict[str, SavedOp] = {}
    for path, op in template.ops.items():
        if parts[path].from_store:
            saved[op.name] = stored[op.name].as_saved()
            continue
        if isinstance(op, LoadableOp) and op.needs_training:
            # its fresh state cannot execute
            saved.setdefault(op.name, states.described_without_state(op))
            continue
        if op.name not in described:
            described[op.name] = states.described_if_saveable(client, op)
        saved[op.name] = described[op.name]
    links = policy.first_links(template.edges, parts)
    return Manifest(pipeline=template.name, saved=tuple(saved.values()), links=links)


def to_save(
    client: BaseOpStoreClient, template: Template, loaded: Loaded, candidate: Manifest | None
) -> Manifest:
    """
    What saving a pipeline writes: its newest run's training, and what is bound here.

    Args:
        client: where bytes are put.
        template: the pipeline.
        loaded: what is bound.
        candidate: what the newest run trained.
    """
    trained = candidate.saved if candidate else ()
    outdone = _outdone(client, template, loaded)
    parts = {
        path: attrs.evolve(part, version=outdone[part.op].version, from_store=True)
        if part.op in outdone
        else part
        for path, part in loaded.parts.items()
    }
    return Manifest(
        pipeline=template.name,
        saved=(*trained, *_bound(client, template, loaded, outdone)),
        links=policy.saved_links(template.edges, parts, candidate),
    )


def _outdone(
    client: BaseOpStoreClient, template: Template, loaded: Loaded
) -> Mapping[str, OpVersion]:
    """
    Op name to newest version, where only the code's fresh state is bound here, and
    something better has been saved for that code: a training, before any load.
    """
    fresh = {
        part.op: part.version
        for part in loaded.parts.values()
        if part.stateful and not part.from_store
    }
    newest = client.newest(fresh, code={op: template.code[op] for op in fresh})
    return {op: known for op, known in newest.items() if known.version != fresh[op]}


def _bound(
    client: BaseOpStoreClient,
    template: Template,
    loaded: Loaded,
    outdone: Collection[str],
) -> Iterator[SavedOp]:
    """
    What is bound in this process, and is not in the store as it is.
    """
    ops = {op.name: (op, loaded.parts[path]) for path, op in loaded.ops.items()}
    for name, (op, part) in ops.items():
        if not isinstance(op, LoadableOp):
            yield states.described(client, op)
        elif name in outdone or (name in template.trained_ops and part.from_store):
            continue
        elif states.is_changed(op, loaded.stored.get(name)):
            # an op that marked itself has a new version, which becomes the newest
            marked = op.op_version not in {part.version, version_of(op)}
            yield states.described(client, op, trained=marked)
