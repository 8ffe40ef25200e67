"""
What a checked pipeline compiles to: steps in order, values by number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from chariots_core.pipelines.callbacks import PipelineCallback
    from chariots_core.pipelines.nodes import BaseNode
    from chariots_core.pipelines.ops import BaseOp
    from chariots_core.versioning import Version

INPUT_SLOT = 0
"""Where a run keeps the pipeline's input."""


@attrs.frozen(kw_only=True)
class Step:
    """
    One node, with its place among the values of a run.

    Attributes:
        node: the node.
        path: its name, behind those of the pipelines it is nested in.
        inputs: the slots it reads.
        outputs: the slots it fills: one, or as many as the node names outputs.
        last_reads: the slots that nobody reads after it.
        op: the op it was made with; ``None`` for a pipeline or another kind of node.
        nested: the pipeline that is its op, and the plan of that, with its own paths.
    """

    node: BaseNode
    path: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    last_reads: tuple[int, ...] = ()
    op: BaseOp | None = None
    nested: tuple[BasePipeline, Plan] | None = None


@attrs.frozen(kw_only=True)
class Plan:
    """
    The steps of a pipeline, in an order in which each finds its inputs.

    Attributes:
        steps: in topological order; among equals, in the order of the nodes.
        n_slots: how many values a run keeps at most.
        reads_input: whether any node reads the pipeline's input.
        output: the slot of the pipeline's output; ``None``: it gives nothing.
    """

    steps: tuple[Step, ...]
    n_slots: int
    reads_input: bool
    output: int | None

    def leaves(self) -> Iterator[Step]:
        """
        The steps that do work, those of nested pipelines in their place.
        """
        for step in self.steps:
            if step.nested is None:
                yield step
            else:
                yield from step.nested[1].leaves()

    def below(self, prefix: str) -> Plan:
        """
        The same plan, as that of a pipeline nested in node *prefix*.
        """
        return attrs.evolve(self, steps=tuple(_moved(step, prefix) for step in self.steps))


class BasePipeline(ABC):
    """
    What a node and a runner need to know of a pipeline.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """
        The pipeline's name.
        """

    @property
    @abstractmethod
    def plan(self) -> Plan:
        """
        The checked graph.
        """

    @property
    @abstractmethod
    def ops(self) -> Mapping[str, BaseOp]:
        """
        Leaf path to op, as bound now.
        """

    @property
    @abstractmethod
    def pipeline_callbacks(self) -> tuple[PipelineCallback, ...]:
        """
        The pipeline's own callbacks.
        """

    @property
    @abstractmethod
    def op_version(self) -> Version:
        """
        The versions of all ops in one.
        """

    @abstractmethod
    def run(self, pipeline_input: Any = None) -> Any:
        """
        Run the pipeline.
        """


def _moved(step: Step, prefix: str) -> Step:
    nested = step.nested
    if nested is not None:
        nested = (nested[0], nested[1].below(prefix))
    return attrs.evolve(step, path=f"{prefix}/{step.path}", nested=nested)
