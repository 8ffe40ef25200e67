"""
Running a pipeline's plan.
"""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import attrs

from chariots_core.errors import NodeOutputError, PipelineError
from chariots_core.pipelines.graph import INPUT_NAME
from chariots_core.pipelines.plan import INPUT_SLOT, BasePipeline, Plan, Step
from chariots_core.pipelines.raised import add_note, set_node

if TYPE_CHECKING:
    from chariots_core.pipelines.callbacks import PipelineCallback
    from chariots_core.pipelines.ops import BaseOp
    from chariots_core.pipelines.pipeline import Pipeline

OnNode = Callable[[str, int, int], None]
"""Called with (path, index, total) before each node that does work."""


class BaseRunner(ABC):
    """
    Runs pipelines. A runner keeps nothing of a run, so one may serve many threads.
    """

    @abstractmethod
    def run(
        self,
        pipeline: BasePipeline,
        pipeline_input: Any = None,
        *,
        ops: Mapping[str, BaseOp] | None = None,
        callbacks: Sequence[PipelineCallback] = (),
        on_node: OnNode | None = None,
    ) -> Any:
        """
        The output of *pipeline* for *pipeline_input*; ``None`` if it has no output.

        Args:
            pipeline: what to run.
            pipeline_input: its input; ``None`` is a value like any other.
            ops: leaf path to op, in place of those that are bound now; for
                this run only.
            callbacks: called after the pipeline's own.
            on_node: called with (leaf path, index, number of leaves) before
                each node that does work.

        Raises:
            PipelineError: an input was given, and the pipeline takes none.
            NodeOutputError: an op gave another number of outputs than its node names.
            Exception: what an op raised, as it was; with the node's name in a
                note, and the leaf path in its attribute ``__chariots_node__``.
        """


class SequentialRunner(BaseRunner):
    """
    Runs one node after the other, in this thread.

    >>> from chariots_core.pipelines import BaseOp, Node, Pipeline
    >>> class AddOne(BaseOp):
    ...     def execute(self, number):
    ...         return number + 1
    >>> add = Node(AddOne(), ["__pipeline_input__"], "__pipeline_output__")
    >>> SequentialRunner().run(Pipeline([add], "add"), 3)
    4
    """

    def run(
        self,
        pipeline: BasePipeline,
        pipeline_input: Any = None,
        *,
        ops: Mapping[str, BaseOp] | None = None,
        callbacks: Sequence[PipelineCallback] = (),
        on_node: OnNode | None = None,
    ) -> Any:
        plan = pipeline.plan
        if pipeline_input is not None and not plan.reads_input:
            raise PipelineError(
                f"pipeline {pipeline.name!r} takes no input, and was given "
                f"{reprlib.repr(pipeline_input)}: give none, or let a node read {INPUT_NAME!r}"
            )
        # read once: a load during the run binds other ops, for later runs
        bound = pipeline.ops if ops is None else ops
        total = 0 if on_node is None else sum(1 for _ in plan.leaves())
        run = _Run(bound, on_node, total)
        return run.execute(
            pipeline, plan, pipeline_input, pipeline.pipeline_callbacks + tuple(callbacks)
        )


@attrs.define
class _Run:
    """
    What one run carries on its way through nested pipelines.
    """

    ops: Mapping[str, BaseOp]
    on_node: OnNode | None
    total: int
    index: int = 0

    def execute(
        self,
        described: BasePipeline,
        plan: Plan,
        pipeline_input: Any,
        callbacks: tuple[PipelineCallback, ...],
    ) -> Any:
        if not callbacks:
            return self.steps(described, plan, pipeline_input, callbacks)
        pipeline = cast("Pipeline", described)
        args = (pipeline_input,) if plan.reads_input else ()
        for callback in callbacks:
            callback.before_execution(pipeline, args)
        output = self.steps(described, plan, pipeline_input, callbacks)
        for callback in callbacks:
            callback.after_execution(pipeline, args, output)
        return output

    def steps(
        self,
        pipeline: BasePipeline,
        plan: Plan,
        pipeline_input: Any,
        callbacks: tuple[PipelineCallback, ...],
    ) -> Any:
        values: list[Any] = [None] * plan.n_slots
        values[INPUT_SLOT] = pipeline_input
        step = plan.steps[0]
        try:
            for step in plan.steps:
                args = tuple([values[slot] for slot in step.inputs])
                if callbacks:
                    output = self.observed(cast("Pipeline", pipeline), step, args, callbacks)
                else:
                    output = self.work(step, args)
                outputs = step.outputs
                if len(outputs) == 1:
                    values[outputs[0]] = output
                else:
                    _spread(step, output, values)
                for slot in step.last_reads:
                    values[slot] = None
        except BaseException as error:
            _name_node(error, step, pipeline.name)
            raise
        return None if plan.output is None else values[plan.output]

    def observed(
        self,
        pipeline: Pipeline,
        step: Step,
        args: tuple[Any, ...],
        callbacks: tuple[PipelineCallback, ...],
    ) -> Any:
        for callback in callbacks:
            callback.before_node_execution(pipeline, step.node, args)
        output = self.work(step, args)
        for callback in callbacks:
            callback.after_node_execution(pipeline, step.node, args, output)
        return output

    def work(self, step: Step, args: tuple[Any, ...]) -> Any:
        if step.nested is not None:
            inner, plan = step.nested
            return self.execute(inner, plan, args[0] if args else None, inner.pipeline_callbacks)
        if self.on_node is not None:
            self.on_node(step.path, self.index, self.total)
            self.index += 1
        if step.op is None:
            return step.node.execute(*args)
        return self.ops[step.path].execute_with_all_callbacks(args)


def _spread(step: Step, output: object, values: list[Any]) -> None:
    names = step.node.output_nodes
    if not isinstance(output, tuple) or len(output) != len(names):
        given = (
            f"a tuple of {len(output)}"
            if isinstance(output, tuple)
            else f"a {type(output).__name__!r} object"
        )
        raise NodeOutputError(
            f"node {step.path!r} names {len(names)} outputs ({', '.join(names)}), and its op gave "
            f"{given}: return a tuple of {len(names)}",
            node=step.path,
        )
    for slot, value in zip(step.outputs, output, strict=True):
        values[slot] = value


def _name_node(error: BaseException, step: Step, pipeline_name: str) -> None:
    """
    Write on *error* where it happened, and leave it the same object.
    """
    if step.nested is None:
        set_node(error, step.path)
    add_note(error, f"in node {step.node.name!r} of pipeline {pipeline_name!r}")
