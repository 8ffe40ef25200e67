"""
What a pipeline tells of itself.
"""

from __future__ import annotations

from typing import Any

import pytest

from chariots_core.pipelines import (
    BaseRunner,
    Node,
    Pipeline,
    SequentialRunner,
)
from chariots_core.versioning import Version, version_of
from tests.unit.pipelines.ops_for_tests import (
    AddOne,
    Counter,
    Fit,
    IsOdd,
    Store,
    call,
    identity,
    next_is_odd,
)

IN, OUT = "__pipeline_input__", "__pipeline_output__"


def test_edges_go_through_nested_pipelines() -> None:
    """
    Each link between two ops is an edge, by leaf paths, once.
    """
    inner = Pipeline(
        [
            call(identity, "in1", [IN], "x"),
            call(identity, "in2", [IN], "y"),
            call(max, "join", ["x", "y", "x"], OUT),
        ],
        "inner",
    )
    outer = Pipeline(
        [
            call(identity, "before", [IN], "a"),
            Node(inner, ["a"], "b", name="one"),
            Node(Pipeline([Node(inner, [IN], OUT)], "wrap"), ["b"], "c"),
            call(max, "after", ["c", "a"], OUT),
        ],
        "outer",
    )

    assert {
        ("before", "one/in1"),
        ("before", "one/in2"),
        ("one/in1", "one/join"),
        ("one/in2", "one/join"),
        ("one/join", "wrap/inner/in1"),
        ("one/join", "wrap/inner/in2"),
        ("wrap/inner/in1", "wrap/inner/join"),
        ("wrap/inner/in2", "wrap/inner/join"),
        ("wrap/inner/join", "after"),
        ("before", "after"),
    } == set(outer.op_edges)
    assert len(set(outer.op_edges)) == len(outer.op_edges)
    assert list(outer.ops) == [
        "before",
        *(f"one/{name}" for name in ("in1", "in2", "join")),
        *(f"wrap/inner/{name}" for name in ("in1", "in2", "join")),
        "after",
    ]


def test_trained_ops_are_named() -> None:
    """
    The leaf paths of ops that train are known.
    """
    inner = Pipeline([Node(Fit(), [IN])], "inner")
    outer = Pipeline([Node(AddOne(), [IN], "x"), Node(inner, ["x"])], "outer")

    assert {"inner/fit"} == outer.trained


def test_versions_of_nodes() -> None:
    """
    Each node has its op's version; a nested pipeline has those of its ops in one.
    """
    add = Node(AddOne(), [IN], "x")
    nested = Node(next_is_odd(), ["x"], OUT)

    versions = Pipeline([add, nested], "p").get_pipeline_versions()

    assert {
        add: version_of(AddOne),
        nested: version_of(AddOne) + version_of(IsOdd),
    } == versions
    assert nested.node_version == versions[nested]


def test_versions_of_given_ops() -> None:
    """
    Versions can be asked for other ops than those bound now.
    """
    pipeline = Pipeline([Node(Counter(), [], OUT)], "p")
    other = Counter()
    other.restore(b"1", Version(major="ab"))

    versions = pipeline.get_pipeline_versions({"counter": other})

    assert ["ab"] == [version.major for version in versions.values()]


def test_versions_of_nested_pipelines_are_those_of_the_outer_ops() -> None:
    """
    What the outer pipeline has loaded counts, and not what the inner one has bound.
    """
    inner = Pipeline([Node(Counter(), [], OUT)], "inner")
    outer = Pipeline([Node(inner, [], OUT)], "outer")
    loaded = Counter()
    loaded.restore(b"1", Version(major="ab"))

    outer.load(Store({"inner/counter": loaded}))

    assert ["ab"] == [version.major for version in outer.get_pipeline_versions().values()]
    assert version_of(Counter) == inner.op_version


def test_nodes_by_name() -> None:
    """
    The nodes of a pipeline are found under their names.
    """
    pipeline = next_is_odd()

    assert {"addone": pipeline.pipeline_nodes[0], "isodd": pipeline.pipeline_nodes[1]} == (
        pipeline.node_for_name
    )


def test_inner_pipeline_brings_what_it_has_bound() -> None:
    """
    A pipeline that was loaded before it was nested runs with what was loaded.
    """
    loaded = Counter()
    loaded.load(b"41")
    inner = Pipeline([Node(Counter(), [], OUT)], "inner").load(Store({"counter": loaded}))

    assert 42 == Pipeline([Node(inner, [], OUT)], "outer").run()


def test_use_worker_can_be_set() -> None:
    """
    The switch is True, False or unset, and nothing else.
    """
    pipeline = next_is_odd(use_worker=True)
    assert pipeline.use_worker is True

    pipeline.use_worker = None
    assert pipeline.use_worker is None
    with pytest.raises(TypeError, match="use_worker of pipeline 'next_is_odd' is 'yes'"):
        pipeline.use_worker = "yes"  # type: ignore[assignment]


def test_nodes_execute_by_themselves() -> None:
    """
    A node can be executed without a pipeline around it, nested pipelines too.
    """
    nested = Node(next_is_odd(), [IN], OUT)

    assert (4, True) == (Node(AddOne(), [IN], OUT).execute(3), nested.execute(4))


def test_runners_can_be_written() -> None:
    """
    A runner of the user's own only has to give a pipeline's output.
    """

    class Loud(BaseRunner):
        def run(self, pipeline: Any, pipeline_input: Any = None, **options: Any) -> Any:
            return f"{SequentialRunner().run(pipeline, pipeline_input, **options)}!"

    assert "True!" == Loud().run(next_is_odd(), 4)
