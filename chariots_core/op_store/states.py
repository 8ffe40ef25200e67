"""
From ops to what is saved of them, and back.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import attrs

from chariots_core.errors import (
    ChariotsError,
    ConfigurationError,
    NotJSONError,
    OpStoreError,
    UntrustedArtifact,
)
from chariots_core.op_store.blobs import digest_of
from chariots_core.op_store.origins import (
    bare_origin,
    declared_text,
    differences,
    is_trained,
    origin_of,
)
from chariots_core.op_store.policy import Edge, Part, Question, questions
from chariots_core.op_store.values import Link, OpVersion, SavedOp, short_version
from chariots_core.pipelines.ops import BaseOp, LoadableOp
from chariots_core.pipelines.pipeline import Pipeline
from chariots_core.pipelines.plan import Step
from chariots_core.versioning import Version, version_of

if TYPE_CHECKING:
    from chariots_core.op_store.client import BaseOpStoreClient

_log: Final = logging.getLogger(__name__)

#: How many saved versions are searched for one of the code's own values.
_SAVINGS_TRIED: Final = 100


def code_major(op: BaseOp) -> str:
    """
    The major digest of an op's code, whatever it was trained to.
    """
    return version_of(op).major


@attrs.frozen(kw_only=True)
class Template:
    """
    A pipeline as its author gave it: what loaded ops are copied from.

    Attributes:
        pipeline: the pipeline.
        ops: leaf path to op, with the fresh state of the code.
        edges: between which of them a link must be valid: those of the graph, and
            those from an op to an op with state that have only ops without state
            between them.
        direct: the edges of the graph.
        trained: the paths of the ops that a run trains.
        code: name of each op with state to the major digest of its code.
    """

    pipeline: Pipeline
    ops: Mapping[str, BaseOp]
    edges: tuple[Edge, ...]
    direct: frozenset[Edge]
    trained: frozenset[str]
    code: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.pipeline.name

    @property
    def code_digest(self) -> str:
        """
        A digest of the versions of the code of all ops; empty: none of them has state.
        """
        if not self.code:
            return ""
        versions = {op.name: version_of(op).identity for op in self.ops.values()}
        text = json.dumps(versions, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def trained_ops(self) -> frozenset[str]:
        """
        The names of the ops that a run trains.
        """
        return frozenset(self.ops[path].name for path in self.trained)

    @classmethod
    def of(cls, pipeline: Pipeline, ops: Mapping[str, BaseOp] | None = None) -> Template:
        """
        The template of *pipeline*, with *ops* in place of those that are bound.
        """
        ops = pipeline.ops if ops is None else ops
        return cls(
            pipeline=pipeline,
            ops=MappingProxyType(dict(ops)),
            edges=(*pipeline.op_edges, *_distant_edges(pipeline.op_edges, ops)),
            direct=frozenset(pipeline.op_edges),
            trained=frozenset(pipeline.trained),
            code=MappingProxyType(
                {op.name: code_major(op) for op in ops.values() if isinstance(op, LoadableOp)}
            ),
        )


def _distant_edges(edges: Iterable[Edge], ops: Mapping[str, BaseOp]) -> tuple[Edge, ...]:
    """
    Return the pairs of an op and an op with state behind it that have only ops without
    state between them: the output of the first reaches the second.

    An op that takes inputs of any version ends the search.
    """
    direct = set(edges)
    # for each op, those whose output reaches its readers; ops are in topological order
    reaching: dict[str, dict[str, None]] = {}
    found: dict[Edge, None] = {}
    for path, op in ops.items():
        before = dict.fromkeys(
            other for up, down in edges if down == path for other in reaching[up]
        )
        reaching[path] = {path: None}
        if isinstance(op, LoadableOp):
            found.update(dict.fromkeys((other, path) for other in before))
        elif not op.allow_version_change:
            reaching[path].update(before)
    return tuple(edge for edge in found if edge not in direct)


def check_names(templates: Iterable[Template]) -> None:
    """
    Refuse two classes of ops with state that are called the same by accident.

    A name that a class gives itself may be shared on purpose; one that is only
    the lower-cased name of the class may not: state would go astray.

    Raises:
        ConfigurationError: there are two such classes.
    """
    known: dict[str, str] = {}
    for template in templates:
        for op in template.ops.values():
            kind = type(op)
            if not isinstance(op, LoadableOp) or kind.name is not BaseOp.name:
                continue
            qualified = f"{kind.__module__}.{kind.__qualname__}"
            if known.setdefault(op.name, qualified) != qualified:
                raise ConfigurationError(
                    f"{known[op.name]} and {qualified} (in pipeline {template.name!r}) are both "
                    f"saved as op {op.name!r}: give one of them a 'name' of its own"
                )


def copied(ops: Mapping[str, BaseOp], known: dict[int, BaseOp] | None = None) -> dict[str, BaseOp]:
    """
    *ops* with a copy in place of each one with state; one that stands twice stays one.
    """
    copies = {} if known is None else known
    for op in ops.values():
        if id(op) not in copies:
            copies[id(op)] = op.copy() if isinstance(op, LoadableOp) else op
    return {path: copies[id(op)] for path, op in ops.items()}


def by_name(template: Template) -> dict[str, BaseOp]:
    """
    One op for each name: the one that trains, where several share it.
    """
    ops = {op.name: op for op in template.ops.values()}
    return {**ops, **{template.ops[path].name: template.ops[path] for path in template.trained}}


def fits(op: BaseOp, stored: OpVersion | None) -> bool:
    """
    Whether *stored* is state for the code of *op*.
    """
    return (
        stored is not None
        and stored.digest is not None
        and isinstance(op, LoadableOp)
        and stored.code == code_major(op)
    )


def fits_all(template: Template, stored: Mapping[str, OpVersion]) -> bool:
    """
    Whether *stored* has state for the code of each op with state that is not trained.
    """
    return all(fits(op, stored.get(name)) for name, op in served(template).items())


def restored(
    client: BaseOpStoreClient,
    template: Template,
    stored: Mapping[str, OpVersion],
    *,
    without: Collection[str] = (),
) -> Mapping[str, BaseOp]:
    """
    Copies of a template's ops, at the stored versions; others keep their fresh state.

    Args:
        client: where the bytes are.
        template: the ops.
        stored: op name to version.
        without: paths of ops that keep their fresh state in any case.

    Raises:
        UntrustedArtifact: bytes of another format than the op's own.
        ArtifactCorrupt: bytes that were changed or lost.
        OpStoreError: bytes that the op cannot read.
    """
    ops = copied(template.ops)
    wanted = {id(op): op for path, op in ops.items() if path not in without}
    for op in wanted.values():
        known = stored.get(op.name)
        if known is not None and fits(op, known):
            restore(client, op, known)
    return MappingProxyType(ops)


def restore(client: BaseOpStoreClient, op: BaseOp, stored: OpVersion) -> None:
    """
    Load the stored bytes into *op*, which is of that version from then on.
    """
    assert isinstance(op, LoadableOp)
    assert stored.digest is not None
    if stored.serializer is not None and stored.serializer != op.serializer:
        # what bytes say of themselves opens no door: the op's own format decides
        raise UntrustedArtifact(
            f"op {op.name!r} {short_version(stored.version)} was saved as {stored.serializer!r}, "
            f"and this process reads {op.serializer!r}: use the same serializer, or save it anew"
        )
    data = client.get_blob(stored.digest)
    try:
        op.restore(data, stored.version)
    except ChariotsError:
        raise
    except Exception as error:
        raise OpStoreError(
            f"op {op.name!r} cannot load its {len(data)} bytes of version "
            f"{short_version(stored.version)}: {type(error).__name__}: {error}; "
            "change its major version if its format has changed"
        ) from error


def parts_of(ops: Mapping[str, BaseOp], stored: Mapping[str, OpVersion]) -> Mapping[str, Part]:
    """
    What the policy needs to know of *ops* at the stored versions.
    """
    return {path: _part(op, stored.get(op.name)) for path, op in ops.items()}


def _part(op: BaseOp, stored: OpVersion | None) -> Part:
    stateful = isinstance(op, LoadableOp)
    from_store = fits(op, stored) if stateful else _is_of(op, stored)
    # the store's version: its creation time is the same in every process
    version = stored.version if stored is not None and from_store else op.op_version
    return Part(
        op=op.name,
        version=version,
        code=code_major(op),
        stateful=stateful,
        adapts=op.allow_version_change,
        from_store=from_store,
        trained=not isinstance(op, LoadableOp) or is_trained(op, stored if from_store else None),
        has_origin=not stateful or stored is None or stored.origin is not None,
    )


def node_versions(pipeline: Pipeline, versions: Mapping[str, Version]) -> dict[str, Version]:
    """
    Node name to version, from the version of each leaf path; a nested pipeline's are added up.
    """
    return {step.node.name: _step_version(step, versions) for step in pipeline.plan.steps}


def _step_version(step: Step, versions: Mapping[str, Version]) -> Version:
    if step.nested is None:
        return step.node.node_version if step.op is None else versions[step.path]
    inner = (_step_version(nested, versions) for nested in step.nested[1].steps)
    return functools.reduce(operator.add, inner)


def versions_as_text(template: Template, versions: Mapping[str, Version]) -> Mapping[str, str]:
    """
    Node name to version as text, from the version of each leaf path.
    """
    nodes = node_versions(template.pipeline, versions)
    return MappingProxyType({name: str(version) for name, version in nodes.items()})


def _is_of(op: BaseOp, stored: OpVersion | None) -> bool:
    return stored is not None and stored.version == op.op_version


def described(
    client: BaseOpStoreClient,
    op: BaseOp,
    *,
    trained: bool = False,
    continued_from: str | None = None,
) -> SavedOp:
    """
    An op as it is now, with its bytes put into the store.

    Args:
        client: the store.
        op: the op.
        trained: whether a run has just trained it.
        continued_from: the identity of the version that the training started from.
    """
    if not isinstance(op, LoadableOp):
        return SavedOp(op=op.name, version=op.op_version, code=code_major(op))
    data = serialized(op)
    return SavedOp(
        op=op.name,
        version=op.op_version,
        code=code_major(op),
        digest=client.put_blob(data),
        serializer=op.serializer,
        size=len(data),
        trained=trained,
        # an op that was trained before it was given to the app has a version of its own
        origin=origin_of(
            op,
            trained=trained or op.op_version != version_of(op),
            continued_from=continued_from,
        ),
    )


def described_without_state(op: BaseOp) -> SavedOp:
    """
    An op as it is now, without its bytes.
    """
    origin = bare_origin(op) if isinstance(op, LoadableOp) else None
    return SavedOp(op=op.name, version=op.op_version, code=code_major(op), origin=origin)


def described_if_saveable(client: BaseOpStoreClient, op: BaseOp) -> SavedOp:
    """
    An op as it is now. One that trains, and cannot be saved, is described without its
    bytes, so that the other pipelines can be served.
    """
    try:
        return described(client, op)
    except (OpStoreError, NotJSONError) as error:
        if not op.trains:
            raise
        _log.warning("op %r has no first version: %s", op.name, error)
        return described_without_state(op)


def serialized(op: LoadableOp) -> bytes:
    """
    The state of *op* as bytes.

    Raises:
        OpStoreError: it gives none.
    """
    try:
        data = op.serialize()
    except ChariotsError:
        raise
    except Exception as error:
        raise OpStoreError(
            f"op {op.name!r} cannot be saved: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise OpStoreError(
            f"op {op.name!r} cannot be saved: its serialize() gave a "
            f"{type(data).__name__!r} object; return bytes"
        )
    return bytes(data)


def members(ops: Mapping[str, BaseOp], stored: Mapping[str, OpVersion]) -> list[SavedOp]:
    """
    The active set of a pipeline that is served with *ops* at the stored versions.

    An op with state that no stored version fits is not part of it: every
    process has it from its code.
    """
    found: dict[str, SavedOp] = {}
    for op in ops.values():
        known = stored.get(op.name)
        if known is not None and (fits(op, known) or _is_of(op, known)):
            found[op.name] = known.as_saved()
        elif not isinstance(op, LoadableOp):
            found[op.name] = SavedOp(op=op.name, version=op.op_version, code=code_major(op))
    return list(found.values())


def served(template: Template) -> dict[str, LoadableOp]:
    """
    Op name to op, for the ops with state that a pipeline does not train.
    """
    return {
        op.name: op
        for path, op in template.ops.items()
        if isinstance(op, LoadableOp) and path not in template.trained
    }


def latest(
    client: BaseOpStoreClient,
    templates: Iterable[Template],
    declared: Callable[[LoadableOp], str] = declared_text,
) -> Mapping[str, OpVersion]:
    """
    Return the newest saved version of each op that its code can use.

    Where the newest trained state was made from other values than the code declares,
    as by an older release that still trains, the newest of the code's own values is
    preferred.

    Args:
        client: the store.
        templates: the pipelines that have the ops.
        declared: returns the declaration of an op.
    """
    templates = tuple(templates)
    code = {name: major for template in templates for name, major in template.code.items()}
    names = {op.name for template in templates for op in template.ops.values()}
    newest = dict(client.newest(names, code=code))
    for name, op in {name: op for each in templates for name, op in served(each).items()}.items():
        stored = newest.get(name)
        if stored is not None and differences(op, stored, declared):
            newest[name] = _of_own_values(client, op, declared) or stored
    return newest


def _of_own_values(
    client: BaseOpStoreClient, op: LoadableOp, declared: Callable[[LoadableOp], str]
) -> OpVersion | None:
    for stored in client.savings(op.name, limit=_SAVINGS_TRIED):
        if (
            stored.origin is not None
            and stored.origin.trained
            and fits(op, stored)
            and not differences(op, stored, declared)
        ):
            return stored
    return None


def newest_trained(client: BaseOpStoreClient, template: Template) -> Mapping[str, OpVersion]:
    """
    What the next training of a pipeline starts from, also where nobody saved it.
    """
    ops = template.trained_ops
    code = {op: major for op, major in template.code.items() if op in ops}
    return client.newest(ops, code=code, trained_by=template.name)


def asked_of(template: Template, parts: Mapping[str, Part]) -> Mapping[Edge, Question]:
    """
    Return the conditions under which these parts of a pipeline may be served together.

    In a pipeline that trains, the run itself validates the edges into ops without
    state: the trained ops learn from their output anew.
    """
    edges = [edge for edge in template.edges if parts[edge[1]].stateful or not template.trained]
    return questions(edges, parts, direct=template.direct)


def links_of(asked: Iterable[Question]) -> list[Link]:
    """
    All links that a store must be asked about, for some questions.
    """
    return [link for each in asked for link in each.links]


def is_changed(op: LoadableOp, stored: OpVersion | None) -> bool:
    """
    Whether the state of *op* is another than that of its stored version.
    """
    return (
        stored is None
        or stored.version != op.op_version
        or stored.digest != digest_of(serialized(op))
    )
