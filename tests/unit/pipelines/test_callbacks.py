"""
What is called around ops, nodes and pipelines, and in which order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from chariots_core.errors import GraphError
from chariots_core.pipelines import (
    BaseNode,
    BaseOp,
    Node,
    OpCallBack,
    Pipeline,
    PipelineCallback,
)
from tests.unit.pipelines.ops_for_tests import (
    call,
    identity,
)

IN, OUT = "__pipeline_input__", "__pipeline_output__"


class Refuse(BaseOp):
    def execute(self, *inputs: Any) -> None:
        raise KeyError


Log = list[tuple[Any, ...]]


class Recorded(BaseOp):
    def __init__(self, log: Log, name: str, op_callbacks: Sequence[OpCallBack] = ()) -> None:
        super().__init__(op_callbacks)
        self.log = log
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def before_execution(self, args: Sequence[Any]) -> None:
        self.log.append(("op before", self.name, args))

    def execute(self, number: int) -> int:
        self.log.append(("execute", self.name, number))
        return number + 1

    def after_execution(self, args: Sequence[Any], output: Any) -> None:
        self.log.append(("op after", self.name, args, output))


class RecordOp(OpCallBack):
    def __init__(self, log: Log, tag: str) -> None:
        self.log = log
        self.tag = tag

    def before_execution(self, callback_op: BaseOp, args: Sequence[Any]) -> None:
        self.log.append((f"{self.tag} before", callback_op.name, args))

    def after_execution(self, callback_op: BaseOp, args: Sequence[Any], output: Any) -> None:
        self.log.append((f"{self.tag} after", callback_op.name, args, output))


class RecordPipeline(PipelineCallback):
    def __init__(self, log: Log, tag: str) -> None:
        self.log = log
        self.tag = tag

    def before_execution(self, pipeline: Pipeline, args: Sequence[Any]) -> None:
        self.log.append((f"{self.tag} before", pipeline.name, args))

    def after_execution(self, pipeline: Pipeline, args: Sequence[Any], output: Any) -> None:
        self.log.append((f"{self.tag} after", pipeline.name, args, output))

    def before_node_execution(
        self, pipeline: Pipeline, node: BaseNode, args: Sequence[Any]
    ) -> None:
        self.log.append((f"{self.tag} before node", pipeline.name, node.name, args))

    def after_node_execution(
        self, pipeline: Pipeline, node: BaseNode, args: Sequence[Any], output: Any
    ) -> None:
        self.log.append((f"{self.tag} after node", pipeline.name, node.name, args, output))


def test_order_of_callbacks() -> None:
    """
    Callbacks come in the documented order, each kind in the order in which it was given.
    """
    log: Log = []
    op = Recorded(log, "a", [RecordOp(log, "one"), RecordOp(log, "two")])
    pipeline = Pipeline(
        [Node(op, [IN], "x"), Node(Recorded(log, "b"), ["x"], OUT)],
        "p",
        pipeline_callbacks=[RecordPipeline(log, "own"), RecordPipeline(log, "own2")],
    )

    output = pipeline.run(1, callbacks=[RecordPipeline(log, "app")])

    expected: Log = [
        ("own before", "p", (1,)),
        ("own2 before", "p", (1,)),
        ("app before", "p", (1,)),
        ("own before node", "p", "a", (1,)),
        ("own2 before node", "p", "a", (1,)),
        ("app before node", "p", "a", (1,)),
        ("op before", "a", (1,)),
        ("one before", "a", (1,)),
        ("two before", "a", (1,)),
        ("execute", "a", 1),
        ("op after", "a", (1,), 2),
        ("one after", "a", (1,), 2),
        ("two after", "a", (1,), 2),
        ("own after node", "p", "a", (1,), 2),
        ("own2 after node", "p", "a", (1,), 2),
        ("app after node", "p", "a", (1,), 2),
        ("own before node", "p", "b", (2,)),
        ("own2 before node", "p", "b", (2,)),
        ("app before node", "p", "b", (2,)),
        ("op before", "b", (2,)),
        ("execute", "b", 2),
        ("op after", "b", (2,), 3),
        ("own after node", "p", "b", (2,), 3),
        ("own2 after node", "p", "b", (2,), 3),
        ("app after node", "p", "b", (2,), 3),
        ("own after", "p", (1,), 3),
        ("own2 after", "p", (1,), 3),
        ("app after", "p", (1,), 3),
    ]
    assert (3, expected) == (output, log)


def test_order_of_callbacks_with_nesting() -> None:
    """
    A nested pipeline's callbacks come inside those of its node; the app's stay outside.
    """
    log: Log = []
    inner = Pipeline(
        [Node(Recorded(log, "a", [RecordOp(log, "cb")]), [IN], OUT)],
        "inner",
        pipeline_callbacks=[RecordPipeline(log, "in")],
    )
    outer = Pipeline(
        [Node(inner, [IN], OUT, name="step")],
        "outer",
        pipeline_callbacks=[RecordPipeline(log, "out")],
    )

    outer.run(1, callbacks=[RecordPipeline(log, "app")])

    expected: Log = [
        ("out before", "outer", (1,)),
        ("app before", "outer", (1,)),
        ("out before node", "outer", "step", (1,)),
        ("app before node", "outer", "step", (1,)),
        ("in before", "inner", (1,)),
        ("in before node", "inner", "a", (1,)),
        ("op before", "a", (1,)),
        ("cb before", "a", (1,)),
        ("execute", "a", 1),
        ("op after", "a", (1,), 2),
        ("cb after", "a", (1,), 2),
        ("in after node", "inner", "a", (1,), 2),
        ("in after", "inner", (1,), 2),
        ("out after node", "outer", "step", (1,), 2),
        ("app after node", "outer", "step", (1,), 2),
        ("out after", "outer", (1,), 2),
        ("app after", "outer", (1,), 2),
    ]
    assert expected == log


def test_callbacks_of_a_pipeline_without_input() -> None:
    """
    Where a pipeline reads no input, its callbacks get no arguments.
    """
    log: Log = []
    pipeline = Pipeline([call(lambda: 1, "a", [], OUT)], "p", [RecordPipeline(log, "cb")])

    pipeline.run()

    assert [
        ("cb before", "p", ()),
        ("cb before node", "p", "a", ()),
        ("cb after node", "p", "a", (), 1),
        ("cb after", "p", (), 1),
    ] == log


def test_callbacks_after_an_error_are_not_called() -> None:
    """
    An exception ends the run: nothing that comes after an output is called.
    """
    log: Log = []
    pipeline = Pipeline([Node(Refuse(), [IN], OUT)], "p", [RecordPipeline(log, "cb")])

    with pytest.raises(KeyError):
        pipeline.run(1)

    assert ["cb before", "cb before node"] == [entry[0] for entry in log]


def test_an_exception_of_a_callback_ends_the_run() -> None:
    """
    What a callback raises leaves the run like what an op raises.
    """

    class Veto(OpCallBack):
        def before_execution(self, callback_op: BaseOp, args: Sequence[Any]) -> None:
            raise PermissionError("no")

    log: Log = []
    pipeline = Pipeline([Node(Recorded(log, "a", [Veto()]), [IN], OUT)], "p")

    with pytest.raises(PermissionError, match="no"):
        pipeline.run(1)

    assert ["op before"] == [entry[0] for entry in log]


def test_ops_without_constructor_call_work() -> None:
    """
    An op whose own constructor does not call the base's has no callbacks, and runs.
    """

    class Careless(BaseOp):
        def __init__(self, amount: int) -> None:
            self.amount = amount

        def execute(self, number: int) -> int:
            return number + self.amount

    assert 5 == Pipeline([Node(Careless(2), [IN], OUT)], "p").run(3)


def test_lists_given_as_callbacks_are_copied() -> None:
    """
    Adding to the list that was given does not add a callback.
    """
    log: Log = []
    given: list[PipelineCallback] = []
    pipeline = Pipeline([call(identity, "a", [IN], OUT)], "p", given)
    given.append(RecordPipeline(log, "late"))

    pipeline.run(1)

    assert [] == log


class Quiet(PipelineCallback): ...


class QuietOp(OpCallBack): ...


class Plain(BaseOp):
    def execute(self, number: int) -> int:
        return number


class Declared(Plain):
    op_callbacks = [QuietOp]  # type: ignore[list-item]  # noqa: RUF012


WRONG_CALLBACKS: list[tuple[Callable[[], object], str | None, str]] = [
    (
        lambda: pipeline_with(Quiet()),
        None,
        r"pipeline_callbacks of pipeline 'p' are <.*>: give a list of PipelineCallback objects",
    ),
    (lambda: pipeline_with(3), None, "of pipeline 'p' are 3: give a list of PipelineCallback"),
    (
        lambda: pipeline_with([Quiet]),
        None,
        r"hold <class .*>, .* PipelineCallback: write Quiet\(\)",
    ),
    (
        lambda: pipeline_with([print]),
        None,
        "hold <.*print>, .* class that extends PipelineCallback",
    ),
    (lambda: pipeline_with([Quiet(), QuietOp()]), None, "give it to an op, as one of its op_call"),
    (
        lambda: Plain(QuietOp()),  # type: ignore[arg-type]
        None,
        "op_callbacks of an op 'Plain' are <.*>: give a list of OpCallBack objects",
    ),
    (lambda: Plain([QuietOp]), None, r"hold <class .*>, .* OpCallBack: write QuietOp\(\)"),  # type: ignore[list-item]
    (lambda: Plain([Quiet()]), None, "give it to a pipeline, as one of its pipeline_callbacks"),  # type: ignore[list-item]
    (lambda: Plain("ab"), None, "hold 'a', which is no OpCallBack: give an object of a class"),  # type: ignore[arg-type]
    (
        lambda: Pipeline([Node(Declared.__new__(Declared), [IN], OUT, name="d")], "p"),
        "d",
        "op_callbacks of node 'd' hold",
    ),
]


def pipeline_with(callbacks: Any) -> Pipeline:
    """
    A pipeline that is given *callbacks*.
    """
    return Pipeline([call(identity, "a", [IN], OUT)], "p", pipeline_callbacks=callbacks)


@pytest.mark.parametrize(("build", "at", "words"), WRONG_CALLBACKS)
def test_what_is_no_callback_is_refused(
    build: Callable[[], object], at: str | None, words: str
) -> None:
    """
    A callback of a wrong type is refused where it is given, with what would be right.
    """
    with pytest.raises(GraphError, match=words) as caught:
        build()

    assert at == caught.value.node


def test_any_iterable_of_callbacks_will_do() -> None:
    """
    Callbacks may come from a generator; each is called.
    """
    log: Log = []

    pipeline_with(RecordPipeline(log, tag) for tag in ("one", "two")).run(3)

    assert ["one before", "two before"] == [entry[0] for entry in log][:2]
