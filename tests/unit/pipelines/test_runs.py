"""
What a run gives, which errors leave it, and what it leaves alone.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from chariots_core.errors import NodeOutputError, PipelineError
from chariots_core.pipelines import (
    BaseNode,
    BaseOp,
    Node,
    Pipeline,
    PipelineCallback,
    SequentialRunner,
)
from chariots_core.pipelines.raised import node_of
from chariots_core.versioning import Version, version_of
from tests.unit.pipelines.ops_for_tests import (
    AddOne,
    Counter,
    IsOdd,
    Store,
    call,
    identity,
    next_is_odd,
)

IN, OUT = "__pipeline_input__", "__pipeline_output__"


@pytest.fixture(name="run", params=["runner", "pipeline"])
def _run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """
    Both ways to run a pipeline.
    """
    return SequentialRunner().run if request.param == "runner" else Pipeline.run


def test_output_of_a_run(run: Callable[..., Any]) -> None:
    """
    A run gives what the node of the pipeline's output gave.
    """
    assert (False, True) == (run(next_is_odd(), 3), run(next_is_odd(), 4))


def test_fan_out() -> None:
    """
    One output may feed many nodes, and one node twice.
    """
    nodes = [
        call(lambda n: n + 1, "a", [IN], "x"),
        call(lambda n: n * 10, "b", ["x"], "y"),
        call(lambda n: n * 100, "c", ["x"], "z"),
        call(lambda *parts: parts, "d", ["x", "y", "z", "x", IN], OUT),
    ]

    assert (2, 20, 200, 2, 1) == Pipeline(nodes, "p").run(1)


def test_several_outputs() -> None:
    """
    A node of several outputs spreads its tuple over them; one output keeps a tuple whole.
    """
    nodes = [
        call(lambda: (1, 2), "two", [], ["x", "y"]),
        call(lambda: (3, 4), "one", [], "z"),
        call(lambda *parts: parts, "all", ["z", "y", "x"], OUT),
    ]

    assert ((3, 4), 2, 1) == Pipeline(nodes, "p").run()


@pytest.mark.parametrize(
    ("output", "word"),
    [
        ((1,), "a tuple of 1"),
        ((1, 2, 3), "a tuple of 3"),
        ([1, 2], "a 'list' object"),
        (None, "a 'NoneType' object"),
        ("ab", "a 'str' object"),
    ],
)
def test_wrong_number_of_outputs(output: object, word: str) -> None:
    """
    Anything but a tuple of the right length is an error that names the node and its outputs.
    """
    pipeline = Pipeline(
        [call(lambda: output, "two", [], ["x", "y"]), call(identity, "e", ["x"])], "p"
    )

    with pytest.raises(NodeOutputError) as caught:
        pipeline.run()

    assert "two" == caught.value.node
    assert f"names 2 outputs (x, y), and its op gave {word}: return" in caught.value.message


def test_nodes_linked_by_object() -> None:
    """
    A node may be named as an object, with an output name of its own or none.
    """
    unnamed = Node(AddOne(), [IN])
    named = Node(AddOne(), [unnamed], "x", name="second")

    assert 5 == Pipeline([call(identity, "end", [named], OUT), named, unnamed], "p").run(3)


def test_none_is_a_value() -> None:
    """
    None goes through as an input, between nodes and as the output.
    """
    nodes = [
        call(lambda value: (value is None, None), "a", [IN], ["was_none", "none"]),
        call(lambda *parts: parts, "b", ["was_none", "none"], OUT),
    ]

    assert (True, None) == Pipeline(nodes, "p").run(None)


def test_pipelines_without_output_give_none() -> None:
    """
    A training pipeline gives None, whatever its last op gives.
    """
    assert Pipeline([call(lambda: 3, "a")], "p").run() is None


def test_unwanted_input_is_an_error(run: Callable[..., Any]) -> None:
    """
    An input for a pipeline that reads none is an error; None is no input.
    """
    pipeline = Pipeline([call(lambda: 3, "a", [], OUT)], "p")

    assert 3 == run(pipeline, None)
    with pytest.raises(PipelineError, match="pipeline 'p' takes no input, and was given 4"):
        run(pipeline, 4)


def test_nested_pipelines() -> None:
    """
    A pipeline may be the op of a node, at any depth.
    """
    inner = Pipeline([Node(AddOne(), [IN], OUT)], "inner")
    middle = Pipeline([Node(inner, [IN], "x"), Node(AddOne(), ["x"], OUT)], "middle")
    outer = Pipeline(
        [Node(middle, [IN], "x"), Node(inner, ["x"], "y"), Node(IsOdd(), ["y"], OUT)], "o"
    )

    assert ("middle/inner/addone", "middle/addone", "inner/addone", "isodd") == tuple(outer.ops)
    assert (True, False) == (outer.run(2), outer.run(3))


def test_nested_pipeline_without_input_or_output() -> None:
    """
    A nested pipeline that reads nothing and gives nothing is run as a step.
    """
    ran: list[str] = []
    inner = Pipeline([call(lambda: ran.append("inner"), "a")], "inner")
    outer = Pipeline([Node(inner), call(lambda: "done", "b", [], OUT)], "outer")

    assert ("done", ["inner"]) == (outer.run(), ran)


def test_one_set_of_nodes_in_two_pipelines() -> None:
    """
    Nodes and nested pipelines serve in many pipelines, and are not changed by any.
    """
    first = Node(AddOne(), [IN], "x")
    second = Node(IsOdd(), [first], OUT)
    before = [dict(vars(node)) for node in (first, second)]

    one, two = Pipeline([first, second], "one"), Pipeline([second, first], "two")

    assert (True, True) == (one.run(4), two.run(4))
    assert before == [vars(node) for node in (first, second)]


def test_custom_nodes() -> None:
    """
    A node of the user's own kind is executed, and versioned as it says.
    """

    class Constant(BaseNode):
        @property
        def node_version(self) -> Version:
            return Version(major="ab")

        def execute(self, *inputs: Any) -> Any:
            return 41

    constant = Constant("constant", [], "x")
    pipeline = Pipeline([constant, Node(AddOne(), ["x"], OUT)], "p")

    assert 42 == pipeline.run()
    assert "ab" == pipeline.get_pipeline_versions()[constant].major
    assert (["addone"], ()) == (list(pipeline.ops), pipeline.op_edges)


class Refuse(BaseOp):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def execute(self, *inputs: Any) -> None:
        raise self.error


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_exceptions_leave_the_run_as_they_are(error: BaseException) -> None:
    """
    The same object leaves the run, with the node and the pipeline in a note.
    """
    pipeline = Pipeline([Node(AddOne(), [IN], "x"), Node(Refuse(error), ["x"], OUT)], "p")

    with pytest.raises(type(error)) as caught:
        pipeline.run(3)

    assert caught.value is error
    assert ["in node 'refuse' of pipeline 'p'"] == error.__notes__
    assert "refuse" == error.__chariots_node__  # type: ignore[attr-defined]


def test_exceptions_in_nested_pipelines_name_the_way() -> None:
    """
    An exception deep inside tells every node on the way; the attribute holds the leaf path.
    """
    error = KeyError("x")
    inner = Pipeline([Node(Refuse(error), [IN], OUT)], "inner")
    outer = Pipeline([Node(inner, [IN], OUT, name="step")], "outer")

    with pytest.raises(KeyError):
        outer.run(3)

    assert ["in node 'refuse' of pipeline 'inner'", "in node 'step' of pipeline 'outer'"] == (
        error.__notes__
    )
    assert "step/refuse" == error.__chariots_node__  # type: ignore[attr-defined]


def test_an_exception_raised_again_gets_no_second_note() -> None:
    """
    An op that raises one object many times does not fill it with notes.
    """
    error = ValueError("always the same")
    pipeline = Pipeline([Node(Refuse(error), [IN], OUT)], "p")

    for _ in range(3):
        with pytest.raises(ValueError, match="always the same"):
            pipeline.run(3)

    assert 1 == len(error.__notes__)


def test_exceptions_that_refuse_notes_leave_too() -> None:
    """
    An exception that allows no attributes is raised as it is.
    """

    class Frozen(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            if not name.startswith("__") or name in {"__notes__", "__chariots_node__"}:
                raise AttributeError(name)
            super().__setattr__(name, value)

    error = Frozen()
    with pytest.raises(Frozen) as caught:
        Pipeline([Node(Refuse(error), [IN], OUT)], "p").run(3)

    assert caught.value is error


class Answering(Exception):
    """
    Takes its payload for its attributes.
    """

    def __getattr__(self, name: str) -> Any:
        return {"a": 1}[name]


class Silent(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class Sealed(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise RuntimeError(name)


@dataclass(frozen=True)
class FrozenError(Exception):
    code: int = 3


@pytest.mark.parametrize("kind", [Answering, Silent, Sealed, FrozenError])
def test_exceptions_with_attributes_of_their_own_leave_too(kind: type[Exception]) -> None:
    """
    Whatever a class makes of attributes, its exception leaves as it is, and names the node.
    """
    error = kind()
    caught: BaseException | None = None
    try:
        Pipeline([Node(Refuse(error), [IN], OUT)], "p").run(3)
    except BaseException as raised:
        caught = raised

    assert caught is error
    assert "refuse" == node_of(error)
    assert ["in node 'refuse' of pipeline 'p'"] == object.__getattribute__(error, "__notes__")


@pytest.mark.parametrize("notes", [("a tuple",), "text", None])
def test_odd_notes_stay_as_they_are(notes: object) -> None:
    """
    Notes that are no list are left alone; none at all become a list.
    """
    error = ValueError("x")
    error.__notes__ = notes  # type: ignore[assignment]

    with pytest.raises(ValueError, match="x"):
        Pipeline([Node(Refuse(error), [IN], OUT)], "p").run(3)

    expected = ["in node 'refuse' of pipeline 'p'"] if notes is None else notes
    assert expected == error.__notes__


def test_nodes_are_announced() -> None:
    """
    Each leaf is announced before it runs, with its path, its place and the number of all.
    """
    seen: list[Any] = []
    inner = Pipeline([call(seen.append, "a", [IN], "x"), call(identity, "b", ["x"], OUT)], "inner")
    outer = Pipeline([Node(inner, [IN], "y"), call(seen.append, "c", ["y"], OUT)], "outer")

    outer.run("ran", on_node=lambda *told: seen.append(told))

    assert [("inner/a", 0, 3), "ran", ("inner/b", 1, 3), ("c", 2, 3), None] == seen


def test_ops_for_one_run() -> None:
    """
    Ops given to a run take the places of those that are bound, for this run only.
    """

    class AddTen(AddOne):
        step = 10

    inner = Pipeline([Node(AddOne(), [IN], OUT)], "inner")
    outer = Pipeline([Node(inner, [IN], "x"), Node(AddOne(), ["x"], OUT)], "outer")

    replaced = outer.run(0, ops={**outer.ops, "inner/addone": AddTen()})

    assert (11, 2) == (replaced, outer.run(0))


def test_state_counts_on_from_run_to_run() -> None:
    """
    What a loadable op builds up in its process stays until something is loaded.
    """
    pipeline = Pipeline([Node(Counter(), [], OUT)], "p")

    assert [1, 2, 3] == [pipeline.run() for _ in range(3)]


def test_load_binds_other_ops() -> None:
    """
    A load gives the pipeline itself, bound to what the store gave; nodes stay as they are.
    """
    original, loaded = Counter(), Counter()
    loaded.restore(b"41", Version(major="ab"))
    pipeline = Pipeline([Node(original, [], OUT)], "p")

    result = pipeline.load(Store({"counter": loaded}))

    assert result is pipeline
    assert (42, 0) == (pipeline.run(), original.count)
    assert ["ab"] == [version.major for version in pipeline.get_pipeline_versions().values()]
    assert version_of(Counter) == pipeline.pipeline_nodes[0].node_version


def test_load_of_unknown_ops_is_refused() -> None:
    """
    A store that gives ops for nodes that do not exist changes nothing.
    """
    pipeline = next_is_odd()
    before = pipeline.ops

    with pytest.raises(PipelineError, match=r"ops for \['who'\], which pipeline 'next_is_odd'"):
        pipeline.load(Store({"who": AddOne()}))

    assert before is pipeline.ops


def test_save_hands_the_pipeline_over() -> None:
    """
    A save gives the pipeline to the store.
    """
    pipeline, store = next_is_odd(), Store({})

    pipeline.save(store)

    assert [pipeline.ops] == store.saved


def test_load_during_a_run_is_for_later_runs() -> None:
    """
    A run that has begun goes on with the ops it began with, in all its nodes.
    """
    begun, go = threading.Event(), threading.Event()

    class Wait(Counter):
        def execute(self) -> int:
            begun.set()
            assert go.wait(10)
            return self.count

    class Read(Counter):
        def execute(self, *inputs: Any) -> Any:
            return (*inputs, self.count)

    def ops(count: int) -> dict[str, BaseOp]:
        wait, read = Wait(), Read()
        wait.count = read.count = count
        return {"wait": wait, "read": read}

    first = ops(1)
    pipeline = Pipeline([Node(first["wait"], [], "x"), Node(first["read"], ["x"], OUT)], "p")
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(pipeline.run()))
    thread.start()
    assert begun.wait(10)
    pipeline.load(Store(ops(2)))
    go.set()
    thread.join(10)
    results.append(pipeline.run())

    assert [(1, 1), (2, 2)] == results


def test_runs_in_threads_do_not_mix() -> None:
    """
    Many runs at once each give the output of their own input.
    """
    barrier = threading.Barrier(8)
    nodes = [
        call(lambda n: (barrier.wait(10), n)[1], "a", [IN], "x"),
        call(lambda n: n + 1, "b", ["x"], "y"),
        call(lambda *parts: (barrier.wait(10), parts)[1], "c", ["x", "y", IN], OUT),
    ]
    pipeline = Pipeline([Node(Pipeline(nodes, "inner"), [IN], OUT)], "outer")
    results: dict[int, Any] = {}

    def run(number: int) -> None:
        results[number] = pipeline.run(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert {number: (number, number + 1, number) for number in range(8)} == results


def test_runs_store_nothing() -> None:
    """
    After a run, neither the pipeline nor its nodes hold anything that they did not before.
    """
    pipeline = next_is_odd(pipeline_callbacks=[PipelineCallback()])
    before = [dict(vars(holder)) for holder in (pipeline, *pipeline.pipeline_nodes)]

    pipeline.run(3, callbacks=[PipelineCallback()], on_node=lambda *_: None)

    assert before == [vars(holder) for holder in (pipeline, *pipeline.pipeline_nodes)]


class Big:
    """
    A value that can be watched.
    """


def test_values_are_let_go_after_their_last_reader() -> None:
    """
    A value does not outlive the last node that reads it, nor one that nobody reads its node.
    """
    made: list[weakref.ref[Big]] = []
    alive: list[list[bool]] = []

    def make() -> Big:
        big = Big()
        made.append(weakref.ref(big))
        return big

    def look(*_: Any) -> None:
        gc.collect()
        alive.append([reference() is not None for reference in made])

    pipeline = Pipeline(
        [
            call(make, "unread", [], "u"),
            call(make, "make", [], "x"),
            call(look, "first", ["x"], "a"),
            call(look, "last", ["x"], "b"),
            call(look, "after", ["a", "b"], "c"),
            call(look, "end", ["c"]),
        ],
        "p",
    )

    pipeline.run()

    assert [[False, True], [False, True], [False, False], [False, False]] == alive
