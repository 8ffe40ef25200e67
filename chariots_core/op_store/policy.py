"""
Which versions may be served together: the questions, and the links that are written.

Pure functions over parts and edges; nothing here reads or writes.

The default policy takes each op at its newest saved version and asks for a
validated link on every edge. An op that a pipeline trains itself is exempt as
the end of an edge: it is about to be trained with what comes in.

* Two ops with state: exactly the versions that a run used together.
* An op without state behind one with state: any state of that code. An op without
  state has learnt nothing that could be out of date.
* An op with state behind one without: any state of that code, unless this state
  was trained behind another version of the op without state.
* An op with state, of a code that was never validated with any version of an op
  without state beside it: valid. The author of new code vouches for its ops, as with a
  new pipeline.
* Two ops without state: exactly these versions.

An op with state also has an edge from each op before it that has only ops without
state between them: what those pass on reaches it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TypeAlias

import attrs

from chariots_core.op_store.values import ANY, Link, Manifest
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
        trained: whether its state can execute: a run trained it, or none needs to.
        has_origin: whether the origin of its state is known. A state of an
            earlier release has links to its direct neighbours only.
    """

    op: str
    version: Version
    code: str
    stateful: bool
    adapts: bool = False
    from_store: bool = False
    trained: bool = True
    has_origin: bool = True


@attrs.frozen(kw_only=True)
class Question:
    """
    The condition under which the two ends of an edge may be served together.

    Attributes:
        link: the link that must have been validated.
        instead: a link that is as good as that one.
        unless: a link that rules *link* out, if it was validated.
        first: a link without which *link* need not be there: the two meet for the
            first time.
    """

    link: Link
    instead: Link | None = None
    unless: Link | None = None
    first: Link | None = None

    @property
    def links(self) -> tuple[Link, ...]:
        """
        All links that the store must be asked about.
        """
        asked = (self.link, self.instead, self.unless, self.first)
        return tuple(link for link in asked if link is not None)

    def is_met(self, valid: Collection[Link]) -> bool:
        """
        Return whether the two ends belong together, given the valid links.
        """
        if self.instead in valid:
            return True
        if self.unless in valid:
            return False
        return self.link in valid or self.is_first(valid)

    def is_first(self, valid: Collection[Link]) -> bool:
        """
        Return whether the two ends meet for the first time.
        """
        return self.first is not None and self.first not in valid


def link_between(upstream: Part, downstream: Part) -> Link:
    """
    Return the link between exactly these two versions.
    """
    return Link(
        upstream=upstream.op,
        upstream_version=upstream.version.identity,
        downstream=downstream.op,
        downstream_version=downstream.version.identity,
    )


def question(upstream: Part, downstream: Part) -> Question:
    """
    Return the condition under which these two may be served together.
    """
    exact = link_between(upstream, downstream)
    if upstream.stateful and not downstream.stateful:
        by_code = attrs.evolve(exact, upstream_version=upstream.code)
        return Question(link=by_code, first=attrs.evolve(by_code, downstream_version=ANY))
    if downstream.stateful and not upstream.stateful:
        by_code = attrs.evolve(exact, downstream_version=downstream.code)
        return Question(
            link=by_code,
            instead=exact,
            first=attrs.evolve(by_code, upstream_version=ANY),
            unless=attrs.evolve(exact, upstream_version=ANY),
        )
    return Question(link=exact)


def questions(
    edges: Iterable[Edge], parts: Mapping[str, Part], *, direct: Collection[Edge] = ()
) -> Mapping[Edge, Question]:
    """
    Return the conditions under which a pipeline may be served: one for each edge.

    Args:
        edges: the edges.
        parts: leaf path to part.
        direct: those of the edges that an earlier release knew as well.
    """
    return {
        (upstream, downstream): question(parts[upstream], parts[downstream])
        for upstream, downstream in edges
        if not parts[downstream].adapts
        and ((upstream, downstream) in direct or parts[downstream].has_origin)
    }


def unmet(asked: Mapping[Edge, Question], valid: Collection[Link]) -> tuple[Edge, ...]:
    """
    Return the edges whose ends do not belong together.
    """
    return tuple(edge for edge, each in asked.items() if not each.is_met(valid))


def first_links(edges: Iterable[Edge], parts: Mapping[str, Part]) -> tuple[Link, ...]:
    """
    Return the links that a pipeline's first registration validates.

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
    Return the links that saving a pipeline validates.

    What its newest run trained is valid with what it ran with. All else that is
    bound is valid on the word of the person who saves it, but for two trained
    states: only a run joins those.
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
