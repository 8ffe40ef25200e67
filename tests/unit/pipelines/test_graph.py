"""
A graph is checked when it is built; every mistake names the node and what would be right.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chariots_core.errors import GraphError
from chariots_core.pipelines import BaseOp, Node, Pipeline, ReservedNodes
from tests.unit.pipelines.ops_for_tests import AddOne, Call, Fit, IsOdd, call, next_is_odd

IN, OUT = "__pipeline_input__", "__pipeline_output__"


def nothing(*inputs: Any) -> None:
    """
    What a node of these tests does.
    """


def node(name: str, inputs: Any = None, outputs: Any = None) -> Node:
    """
    A node that does nothing.
    """
    return call(nothing, name, inputs, outputs)


class Named(BaseOp):
    name = 3  # type: ignore[assignment]

    def execute(self) -> None: ...


class Other(BaseOp):
    name = "addone"

    def execute(self, number: int) -> int:
        return number


def two_ops_of_one_name() -> Pipeline:
    nodes = [Node(AddOne(), [IN], "a"), Node(Other(), ["a"], OUT, name="other")]
    return Pipeline(nodes, "p")


def two_trainings_of_one_op() -> Pipeline:
    return Pipeline([Node(Fit(), [IN]), Node(Fit(), [IN], name="again")], "p")


def node_twice() -> Pipeline:
    one = node("a", [IN])
    return Pipeline([one, one], "p")


def several_outputs_by_object() -> Pipeline:
    two = node("two", [IN], ["x", "y"])
    return Pipeline([two, node("b", [two], OUT)], "p")


def stranger_by_object() -> Pipeline:
    return Pipeline([node("b", [node("stranger", [IN])], OUT)], "p")


def training() -> Pipeline:
    return Pipeline([node("fit", [IN])], "train")


def nothing_by_object() -> Pipeline:
    trained = Node(training(), [IN])
    return Pipeline([trained, node("b", [trained], OUT)], "p")


def cycle_by_object_and_name() -> Pipeline:
    first = node("first", ["c"], "a")
    second = node("second", [first], "b")
    return Pipeline([node("out", ["b"], OUT), first, second, node("third", ["b"], "c")], "p")


MISTAKES: list[tuple[Callable[[], object], str | None, list[str]]] = [
    # unknown inputs
    (
        lambda: Pipeline([node("a", [IN], "one"), node("b", ["onne"], OUT)], "p"),
        "b",
        ["'b'", "'p'", "reads 'onne'", "did you mean 'one'?"],
    ),
    (
        lambda: Pipeline([node("a", [IN], "one"), node("b", ["xyz"], OUT)], "p"),
        "b",
        ["reads 'xyz'", "read one of '__pipeline_input__', 'one'"],
    ),
    (lambda: Pipeline([node("a", ["__pipeline_inpt__"], OUT)], "p"), "a", [f"did you mean '{IN}'"]),
    (stranger_by_object, "b", ["reads node 'stranger'", "add it to the pipeline's nodes"]),
    (several_outputs_by_object, "b", ["several outputs", "name one of 'x', 'y'"]),
    # outputs of one name
    (
        lambda: Pipeline([node("a", [IN], "x"), node("b", [IN], "x"), node("c", ["x"], OUT)], "p"),
        "b",
        ["gives 'x'", "by node 'a' already", "choose another name"],
    ),
    (lambda: Pipeline([node("a", [IN], ["x", "x"])], "p"), "a", ["gives 'x'", "by node 'a'"]),
    (
        lambda: Pipeline([node("a", [IN], OUT), node("b", [IN], OUT)], "p"),
        "b",
        [f"gives '{OUT}'", "by node 'a' already"],
    ),
    (lambda: Pipeline([node("a", [], IN)], "p"), "a", ["by the pipeline itself already"]),
    # cycles
    (
        lambda: Pipeline([node("a", ["x"], "x")], "p"),
        "a",
        ["wait for each other ('a' -> 'a')", "let node 'a' read something else"],
    ),
    (
        lambda: Pipeline([node("a", [IN, "y"], "x"), node("b", ["x"], ["y", OUT])], "p"),
        "a",
        ["'a' -> 'b' -> 'a'"],
    ),
    (cycle_by_object_and_name, "first", ["wait for each other", "'third' -> 'first'"]),
    # no way to the output
    (
        lambda: Pipeline([node("a", [IN], "x"), node("b", ["x"], "y")], "p"),
        "b",
        ["no way to an output", "gives 'y', which no node reads", f"name the result '{OUT}'"],
    ),
    (
        lambda: Pipeline([node("a", [IN], "x"), node("b", ["x"], "y"), node("c", [], OUT)], "p"),
        "c",
        ["no way from its input to its output", "'c' does not depend on", "'y', is read by no"],
    ),
    # wrong types
    (lambda: Pipeline([], "p"), None, ["has no nodes", "at least one"]),
    (lambda: Pipeline("nodes", "p"), None, ["'nodes'", "give a list of nodes"]),  # type: ignore[arg-type]
    (lambda: Pipeline([AddOne()], "p"), None, ["is no node", "Node(AddOne(), ...)"]),  # type: ignore[list-item]
    (lambda: Pipeline(["a"], "p"), None, ["'a' in pipeline 'p' is no node"]),  # type: ignore[list-item]
    (lambda: Pipeline([node("a", [IN])], ""), None, ["'' is no name for a pipeline"]),
    (lambda: Pipeline([node("a", [IN])], "a/b"), None, ["holds no '/'"]),
    (lambda: Pipeline([node("a", [IN])], 3), None, ["3 is no name for a pipeline"]),  # type: ignore[arg-type]
    (
        lambda: Pipeline([node("a", [IN])], "x" * 256),
        None,
        ["xxx'... is no name for a pipeline", "has 256 characters", "give 255 at most"],
    ),
    (
        lambda: Pipeline([node("a", [IN])], "a\0b"),
        None,
        ["'a\\x00b' is no name for a pipeline", "NUL", "leave that out"],
    ),
    (lambda: Pipeline([node("a", [IN])], "\ud800"), None, ["'\\ud800' is no name", "surrogate"]),
    (lambda: node("x" * 256, [IN]), None, ["is no name for a node", "give 255 at most"]),
    (lambda: node("a\udfff", [IN]), None, ["is no name for a node", "surrogate"]),
    (
        lambda: Node(type("Odd", (AddOne,), {"name": "a\0b"})(), name="n"),
        "n",
        ["op of node 'n' is called 'a\\x00b'", "leave that out"],
    ),
    (lambda: Node(AddOne, [IN]), None, ["is no op", "write AddOne()"]),  # type: ignore[arg-type]
    (lambda: Node(3, [IN], name="n"), "n", ["3 is no op, and node 'n' needs one"]),  # type: ignore[arg-type]
    (lambda: node("a", [3]), "a", ["input 3 of node 'a' is neither a name nor a node"]),
    (lambda: node("a", [AddOne()]), "a", ["of node 'a' is neither a name nor a node"]),
    (lambda: node("a", [""]), "a", ["input '' of node 'a'"]),
    (lambda: node("a", [IN], [3]), "a", ["output 3 of node 'a' is no name"]),
    (lambda: node("a", [IN], [""]), "a", ["output '' of node 'a' is no name"]),
    (lambda: node("a", [IN], [node("b")]), "a", ["of node 'a' is no name"]),
    (lambda: node("", [IN]), None, ["'' is no name for a node"]),
    (lambda: node("a/b", [IN]), None, ["'a/b' is no name for a node"]),
    (lambda: Node(Named()), None, ["3 is no name for a node"]),
    (
        lambda: Pipeline([Node(Named(), name="n")], "p"),
        "n",
        ["op of node 'n' is called 3", "must be a text"],
    ),
    # names
    (
        lambda: Pipeline([Node(AddOne(), [IN], "x"), Node(AddOne(), ["x"], OUT)], "p"),
        "addone",
        ["two nodes", "called 'addone'", "name='second'"],
    ),
    (node_twice, "a", ["'p' lists node 'a' twice", "list it once"]),
    (two_ops_of_one_name, "other", ["both called 'addone'", "different classes"]),
    (two_trainings_of_one_op, "again", ["both train op 'fit'"]),
    # nested pipelines
    (
        lambda: Pipeline([Node(next_is_odd(), [IN, IN], OUT)], "p"),
        "next_is_odd",
        ["has 2 input_nodes", "takes one input", "give it one"],
    ),
    (
        lambda: Pipeline([Node(next_is_odd(), [], OUT)], "p"),
        "next_is_odd",
        ["has 0 input_nodes", "takes one input"],
    ),
    (
        lambda: Pipeline([Node(Pipeline([node("a", [], OUT)], "inner"), [IN], OUT)], "p"),
        "inner",
        ["has 1 input_nodes", "takes no input", "give it none"],
    ),
    (lambda: Pipeline([Node(training(), [IN], OUT)], "p"), "train", ["'p' names '__pipeline_out"]),
    (
        lambda: Pipeline([Node(training(), [IN], "x"), node("b", ["x"], OUT)], "p"),
        "train",
        [
            "names 'x' as its output",
            "gives nothing",
            f"an output '{OUT}'",
            "'train' no output name",
        ],
    ),
    (
        lambda: Pipeline([Node(training(), [IN], ["x", "y"]), node("b", [], OUT)], "p"),
        "train",
        ["names 'x', 'y' as its output"],
    ),
    (nothing_by_object, "b", ["reads node 'train', whose pipeline gives nothing", "or read anoth"]),
]


@pytest.mark.parametrize(("build", "at", "words"), MISTAKES)
def test_mistakes(build: Callable[[], object], at: str | None, words: list[str]) -> None:
    """
    A graph that cannot run is refused with the node at fault and the way out.
    """
    with pytest.raises(GraphError) as caught:
        build()

    assert at == caught.value.node
    for word in words:
        assert word in caught.value.message


def test_messages_differ() -> None:
    """
    No two kinds of mistakes get the same message.
    """
    messages = set()
    for build, _, _ in MISTAKES:
        with pytest.raises(GraphError) as caught:
            build()
        messages.add(caught.value.message)

    assert len(MISTAKES) == len(messages)


def test_missing_input_is_a_value_error() -> None:
    """
    Who does not know Chariots' errors catches a ValueError.
    """
    with pytest.raises(ValueError, match="which no node gives"):
        Pipeline([node("a", ["missing"], OUT)], "p")


def test_order_of_nodes_does_not_count() -> None:
    """
    Nodes may be given in any order; they run in one in which each finds its inputs.
    """
    nodes = [
        node("a", [IN], "1"),
        node("b", ["1"], "2"),
        node("c", ["2", "1"], "3"),
        node("d", ["3"], OUT),
    ]

    orders = {
        tuple(ordered.name for ordered in Pipeline(list(some), "p").pipeline_nodes)
        for some in permutations(nodes)
    }

    assert {("a", "b", "c", "d")} == orders


def test_equals_keep_the_given_order() -> None:
    """
    Nodes that do not depend on each other run in the order in which they were given.
    """
    names = ["c", "a", "d", "b"]

    pipeline = Pipeline([node(name, [IN]) for name in names], "p")

    assert names == [each.name for each in pipeline.pipeline_nodes]


@given(st.lists(st.sets(st.integers(0, 7), max_size=3), min_size=1, max_size=8), st.randoms())
def test_any_acyclic_graph_runs_in_order(reads: list[set[int]], random: Any) -> None:
    """
    In any graph without a cycle, each node runs once, after all that it reads.
    """
    ran: list[int] = []
    nodes = []
    for index, wanted in enumerate(reads):
        inputs = [f"v{upstream}" for upstream in sorted(wanted) if upstream < index]

        def run(*_: Any, index: int = index) -> int:
            ran.append(index)
            return index

        nodes.append(call(run, f"n{index}", inputs, f"v{index}"))
    nodes.append(node("end", ["v0"]))
    random.shuffle(nodes)

    Pipeline(nodes, "p").run()

    assert sorted(ran) == list(range(len(reads)))
    for index, wanted in enumerate(reads):
        for upstream in wanted:
            if upstream < index:
                assert ran.index(upstream) < ran.index(index)


def test_training_pipelines_need_no_output() -> None:
    """
    A node without output name ends its path on purpose: the run gives None.
    """
    pipeline = Pipeline([node("load", [], ["x", "y"]), node("fit", ["x", "y"])], "p")

    assert (None, False) == (pipeline.plan.output, pipeline.plan.reads_input)


def test_side_nodes_are_legal() -> None:
    """
    Outputs that nobody reads, and paths that end beside the output, do no harm.
    """
    nodes = [node("a", [IN], ["x", "unread"]), node("log", ["x"]), node("b", ["x"], OUT)]

    assert 3 == len(Pipeline(nodes, "p").pipeline_nodes)


def test_input_may_end_in_a_node_without_output() -> None:
    """
    An input that only a node without output name reads is legal.
    """
    nodes = [node("log", [IN]), node("constant", [], OUT)]

    assert Pipeline(nodes, "p").plan.reads_input


def test_reserved_names_have_members() -> None:
    """
    The two reserved names can be given as members of an Enum.
    """
    one = Node(AddOne(), [ReservedNodes.pipeline_input], ReservedNodes.pipeline_output)

    assert ((IN,), (OUT,)) == (one.input_nodes, one.output_nodes)
    assert 4 == Pipeline([one], "p").run(3)


def test_single_names_need_no_list() -> None:
    """
    One input or output may be given without a list around it.
    """
    one = Node(AddOne(), IN, OUT)

    assert ((IN,), (OUT,)) == (one.input_nodes, one.output_nodes)


def test_ops_of_one_class_may_share_a_name() -> None:
    """
    Two nodes of one op class, with names of their own, share the op's versions.
    """
    nodes = [Node(AddOne(), [IN], "x"), Node(AddOne(), ["x"], OUT, name="second")]

    assert 5 == Pipeline(nodes, "p").run(3)


def test_nodes_show_what_they_link() -> None:
    """
    The repr of nodes and pipelines names what they read and give.
    """
    first = Node(AddOne(), [IN])
    second = Node(IsOdd(), [first], OUT)

    assert "<Node 'isodd' ['addone'] -> ['__pipeline_output__']>" == repr(second)
    assert "<Pipeline 'p' of ['addone', 'isodd']>" == repr(Pipeline([second, first], "p"))


def test_node_of_a_call_has_its_name() -> None:
    """
    A node is called as its op, unless it is given a name.
    """
    assert ("x", "y") == (Node(Call(nothing, "x")).name, Node(Call(nothing, "x"), name="y").name)
