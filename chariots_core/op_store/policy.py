"""
Which versions may be served together: the questions, the blockers, the remedies.

Pure functions over parts and edges; nothing here reads or writes.

The default policy takes each op at its newest saved version and asks for a
validated link on every edge. An op that a pipeline trains itself is exempt as
the end of an edge: it is about to be trained with what comes in. Between an op
with state and one without, a link holds for every state that the code of the
first came to: training it again changes no code, and an op without state has
learnt nothing that could be out of date. Between two ops with state, only
exactly the versions that were run together are valid.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

import attrs

from chariots_core.errors import VersionError
from chariots_core.op_store.values import Link, Manifest, short_version
from chariots_core.versioning import Version

#: Path of the op whose output goes in, path of the op that takes it.
Edge: TypeAlias = tuple[str, str]


@attrs.frozen(kw_only=True)
class Part:
    """
    One op at its place in a pipeline, at a version.

    Attributes:
        op: the op's name.
        version: its version.
        code: the major digest of its code.
        stateful: whether it has bytes.
        adapts: whether it takes inputs of versions that it was not validated with.
        from_store: whether its state came from the store, and not from the code.
    """

    op: str
    version: Version
    code: str
    stateful: bool
    adapts: bool = False
    from_store: bool = False


def link_between(upstream: Part, downstream: Part) -> Link:
    """
    The link between exactly these two versions.
    """
    return Link(
        upstream=upstream.op,
        upstream_version=upstream.version.identity,
        downstream=downstream.op,
        downstream_version=downstream.version.identity,
    )


def question(upstream: Part, downstream: Part) -> Link:
    """
    The link that must have been validated for these two to be served together.
    """
    link = link_between(upstream, downstream)
    if upstream.stateful and not downstream.stateful:
        return attrs.evolve(link, upstream_version=upstream.code)
    if downstream.stateful and not upstream.stateful:
        return attrs.evolve(link, downstream_version=downstream.code)
    return link


def questions(edges: Iterable[Edge], parts: Mapping[str, Part]) -> Mapping[Edge, Link]:
    """
    What must be valid for a pipeline to be served: one question for each edge.
    """
    return {
        (upstream, downstream): question(parts[upstream], parts[downstream])
        for upstream, downstream in edges
        if not parts[downstream].adapts
    }


def version_error(
    pipeline: str,
    asked: Mapping[Edge, Link],
    valid: Collection[Link],
    parts: Mapping[str, Part],
) -> VersionError | None:
    """
    What blocks a pipeline, if anything does.
    """
    blockers = [
        _blocker(pipeline, parts[upstream], parts[downstream])
        for (upstream, downstream), link in asked.items()
        if link not in valid
    ]
    if not blockers:
        return None
    return VersionError(
        f"pipeline {pipeline!r} has versions that were not validated together: "
        + "; ".join(blockers),
        blockers=blockers,
    )


def _blocker(pipeline: str, upstream: Part, downstream: Part) -> str:
    return (
        f"{upstream.op!r} {short_version(upstream.version)} -> "
        f"{downstream.op!r} {short_version(downstream.version)} is not validated: "
        + _remedy(pipeline, upstream, downstream)
    )


def _remedy(pipeline: str, upstream: Part, downstream: Part) -> str:
    fit = f"save {pipeline!r} if the two fit"
    if not (upstream.stateful and downstream.stateful):
        return fit
    again = f"train {downstream.op!r} again with this version of {upstream.op!r}"
    if _is_settled(upstream) and _is_settled(downstream):
        return f"{again}, then load {pipeline!r}"
    return f"{again}, or {fit}"


def first_links(edges: Iterable[Edge], parts: Mapping[str, Part]) -> tuple[Link, ...]:
    """
    The links that a pipeline's first registration validates.

    Its author's word counts for all that is new or without state. Two trained
    versions that were there before must have been run together.
    """
    return _distinct(
        link_between(parts[upstream], parts[downstream])
        for upstream, downstream in edges
        if not (_is_settled(parts[upstream]) and _is_settled(parts[downstream]))
    )


def _is_settled(part: Part) -> bool:
    return part.stateful and part.from_store


def saved_links(
    edges: Iterable[Edge], parts: Mapping[str, Part], candidate: Manifest | None
) -> tuple[Link, ...]:
    """
    The links that saving a pipeline validates.

    What its newest run trained is valid with what it ran with. All else that is
    bound is valid on the word of who saves it, but for two trained states: only
    a run joins those.
    """
    trained = candidate.trained if candidate else {}
    now = {
        path: attrs.evolve(part, version=trained[part.op].version) if part.op in trained else part
        for path, part in parts.items()
    }
    stated = (
        link_between(now[upstream], now[downstream])
        for upstream, downstream in edges
        if not _needs_a_run(parts[upstream], parts[downstream], trained)
    )
    return _distinct([*(candidate.links if candidate else ()), *stated])


def _needs_a_run(upstream: Part, downstream: Part, trained: Collection[str]) -> bool:
    if not (upstream.stateful and downstream.stateful):
        return False
    if upstream.op in trained or downstream.op in trained or downstream.adapts:
        return True
    return upstream.from_store and downstream.from_store


def _distinct(links: Iterable[Link]) -> tuple[Link, ...]:
    return tuple(dict.fromkeys(links))
