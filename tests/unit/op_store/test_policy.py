"""
Which versions may be served together.
"""

from __future__ import annotations

import attrs

from chariots_core.op_store.policy import (
    Part,
    first_links,
    link_between,
    question,
    questions,
    saved_links,
    version_error,
)
from chariots_core.op_store.values import Manifest, SavedOp, short_version
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
    assert link_between(PCA, FOREST) == question(PCA, FOREST)


def test_between_ops_without_state_the_versions_must_be_exact() -> None:
    """
    Two ops without state are asked about at exactly their versions.
    """
    assert link_between(PLAIN, AFTER) == question(PLAIN, AFTER)


def test_training_does_not_part_an_op_from_a_stateless_one() -> None:
    """
    Beside an op without state, the code of the other stands for all its trainings.
    """
    before, after = question(PLAIN, PCA), question(FOREST, AFTER)

    assert (version("r").identity, "pca-code") == (
        before.upstream_version,
        before.downstream_version,
    )
    assert ("forest-code", version("a").identity) == (
        after.upstream_version,
        after.downstream_version,
    )


def test_every_edge_is_asked() -> None:
    """
    No edge is left out, but for those into an op that adapts to what comes in.
    """
    adapting = {**PARTS, "forest": attrs.evolve(FOREST, adapts=True)}

    assert (set(EDGES), {EDGES[0], EDGES[2]}) == (
        set(questions(EDGES, PARTS)),
        set(questions(EDGES, adapting)),
    )


def test_nothing_blocks_where_all_is_valid() -> None:
    """
    Valid answers to all questions are no error.
    """
    asked = questions(EDGES, PARTS)

    assert version_error("predict", asked, set(asked.values()), PARTS) is None


def test_each_blocker_is_named() -> None:
    """
    Unknown is not valid: every edge without an answer is a blocker, with both
    ops, both short versions, and a remedy.
    """
    asked = questions(EDGES, PARTS)
    error = version_error("predict", asked, {asked["reader", "pca"]}, PARTS)
    assert error is not None

    pca, forest, after = (short_version(PARTS[op].version) for op in ("pca", "forest", "after"))
    expected = (
        (
            f"'pca' {pca} -> 'forest' {forest} is not validated: "
            "train 'forest' again with this version of 'pca', then load 'predict'"
        ),
        f"'forest' {forest} -> 'after' {after} is not validated: save 'predict' if the two fit",
    )

    assert expected == error.blockers
    assert all(blocker in error.message for blocker in error.blockers)


def test_new_code_with_state_has_two_remedies() -> None:
    """
    An op that has its state from new code can be trained, or saved as it is.
    """
    parts = {"pca": PCA, "forest": attrs.evolve(FOREST, from_store=False)}
    asked = questions([("pca", "forest")], parts)
    error = version_error("predict", asked, set(), parts)

    assert error is not None
    assert error.blockers[0].endswith(
        "train 'forest' again with this version of 'pca', or save 'predict' if the two fit"
    )


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
