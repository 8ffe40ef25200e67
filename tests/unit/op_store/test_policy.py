"""
Which versions may be served together.
"""

from __future__ import annotations

import attrs

from chariots_core.op_store.policy import (
    Part,
    Question,
    first_links,
    link_between,
    question,
    questions,
    saved_links,
    unmet,
)
from chariots_core.op_store.values import Manifest, SavedOp
from tests.unit.op_store.kit import version

PLAIN = Part(op="reader", version=version("r"), code="reader-code", stateful=False, from_store=True)
PCA = Part(op="pca", version=version("p"), code="pca-code", stateful=True, from_store=True)
FOREST = Part(op="forest", version=version("f"), code="forest-code", stateful=True, from_store=True)
AFTER = Part(op="after", version=version("a"), code="after-code", stateful=False, from_store=True)

PARTS = {"reader": PLAIN, "pca": PCA, "forest": FOREST, "after": AFTER}
EDGES = (("reader", "pca"), ("pca", "forest"), ("forest", "after"))


def test_between_ops_with_state_the_versions_must_be_exact() -> None:
    """
    Two ops with state are asked about at exactly their versions.
    """
    assert Question(link=link_between(PCA, FOREST)) == question(PCA, FOREST)


def test_between_ops_without_state_the_versions_must_be_exact() -> None:
    """
    Two ops without state are asked about at exactly their versions.
    """
    assert Question(link=link_between(PLAIN, AFTER)) == question(PLAIN, AFTER)


def test_training_does_not_part_an_op_from_a_stateless_one() -> None:
    """
    Beside an op without state, the code of the other stands for all its trainings.
    """
    before, after = question(PLAIN, PCA).link, question(FOREST, AFTER).link

    assert (version("r").identity, "pca-code") == (
        before.upstream_version,
        before.downstream_version,
    )
    assert ("forest-code", version("a").identity) == (
        after.upstream_version,
        after.downstream_version,
    )


def test_training_behind_another_version_parts_a_state_from_a_stateless_op() -> None:
    """
    A state that was trained behind another version of an op without state does not
    belong to this version, unless exactly these two were validated.
    """
    asked = question(PLAIN, PCA)
    assert asked.unless is not None
    assert asked.first is not None
    by_code, exact = asked.link, link_between(PLAIN, PCA)

    assert [True, False, True] == [
        asked.is_met({asked.first, by_code}),
        asked.is_met({asked.first, by_code, asked.unless}),
        asked.is_met({asked.first, by_code, asked.unless, exact}),
    ]


def test_new_code_of_a_state_fits_the_ops_without_state_beside_it() -> None:
    """
    A code of an op with state that was validated with no version of a stateless op is
    valid with it; after that, another version of the stateless op is not.
    """
    for asked in (question(PLAIN, PCA), question(FOREST, AFTER)):
        assert asked.first is not None

        assert [True, False, True] == [
            asked.is_met(set()),
            asked.is_met({asked.first}),
            asked.is_met({asked.first, asked.link}),
        ]


def test_every_edge_is_asked() -> None:
    """
    No edge is left out, but for those into an op that adapts to what comes in.
    """
    adapting = {**PARTS, "forest": attrs.evolve(FOREST, adapts=True)}

    assert (set(EDGES), {EDGES[0], EDGES[2]}) == (
        set(questions(EDGES, PARTS)),
        set(questions(EDGES, adapting)),
    )


def test_states_of_an_earlier_release_have_no_links_across_stateless_ops() -> None:
    """
    An edge that is not one of the graph is asked about where the store knows how the
    state was made.
    """
    old = {**PARTS, "forest": attrs.evolve(FOREST, has_origin=False)}
    across = ("pca", "forest")

    assert [[], [across], [across]] == [
        list(questions([across], old)),
        list(questions([across], old, direct={across})),
        list(questions([across], PARTS)),
    ]


def test_unknown_is_not_valid() -> None:
    """
    Every edge without a valid link is unmet, unless its ends meet for the first time.
    """
    asked = questions(EDGES, PARTS)
    met = {each.first for each in asked.values() if each.first is not None}

    assert [(), EDGES[1:], EDGES[1:2]] == [
        unmet(asked, {*met, *(each.link for each in asked.values())}),
        unmet(asked, {*met, asked[EDGES[0]].link}),
        unmet(asked, set()),
    ]


def test_registration_trusts_its_author() -> None:
    """
    All links of a new pipeline are valid, where one side is new or has no state.
    """
    new = {path: attrs.evolve(part, from_store=False) for path, part in PARTS.items()}
    every = tuple(link_between(new[up], new[down]) for up, down in EDGES)

    assert every == first_links(EDGES, new)


def test_registration_validates_no_two_trainings() -> None:
    """
    Two trained versions that were there before must have been run together.
    """
    assert (link_between(PLAIN, PCA), link_between(FOREST, AFTER)) == first_links(EDGES, PARTS)


def test_saving_validates_what_is_bound() -> None:
    """
    Without a training, who saves a pipeline vouches for the versions it has.
    """
    new = {**PARTS, "forest": attrs.evolve(FOREST, from_store=False)}
    every = tuple(link_between(PARTS[up], PARTS[down]) for up, down in EDGES)

    assert every == saved_links(EDGES, new, None)


def test_saving_joins_no_two_trainings() -> None:
    """
    Two states of the store are joined by a run, and by nobody's word.
    """
    links = saved_links(EDGES, PARTS, None)

    assert (link_between(PLAIN, PCA), link_between(FOREST, AFTER)) == links


def test_saving_does_not_pretend_a_training() -> None:
    """
    Saving a training pipeline that did not run says nothing about a new upstream.
    """
    parts = {**PARTS, "forest": attrs.evolve(FOREST, adapts=True)}

    assert link_between(PCA, FOREST) not in saved_links(EDGES, parts, None)


def test_saving_validates_what_ran_together() -> None:
    """
    A candidate is valid with the upstream that it was trained with, not with the one bound now.
    """
    ran_with = attrs.evolve(PCA, version=version("older"))
    trained = attrs.evolve(FOREST, version=version("trained"), adapts=True)
    candidate = Manifest(
        pipeline="train",
        saved=(SavedOp(op="forest", version=trained.version, digest="d", trained=True),),
        links=(link_between(ran_with, trained),),
    )
    links = saved_links(EDGES, {**PARTS, "forest": attrs.evolve(FOREST, adapts=True)}, candidate)

    assert (True, False, True) == (
        link_between(ran_with, trained) in links,
        link_between(PCA, trained) in links,
        link_between(trained, AFTER) in links,
    )
