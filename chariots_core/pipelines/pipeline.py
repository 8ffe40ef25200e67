"""
The pipeline: a checked graph, and the ops that are bound to its nodes now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from types import MappingProxyType
from typing import Any, Protocol, Self

from chariots_core.errors import GraphError, PipelineError
from chariots_core.pipelines import graph
from chariots_core.pipelines.callbacks import PipelineCallback, checked_callbacks
from chariots_core.pipelines.names import checked_name
from chariots_core.pipelines.nodes import BaseNode
from chariots_core.pipelines.ops import BaseOp
from chariots_core.pipelines.plan import BasePipeline, Plan, Step
from chariots_core.pipelines.runners import OnNode, SequentialRunner
from chariots_core.resolver import checked_switch
from chariots_core.versioning import Version

_RUNNER = SequentialRunner()


class PipelineStore(Protocol):
    """
    The part of an op store's client that a pipeline needs.
    """

    def load_pipeline(self, pipeline: Pipeline) -> Mapping[str, BaseOp]: ...

    def save_pipeline(self, pipeline: Pipeline) -> object: ...


class Pipeline(BasePipeline):
    """
    Ops linked as nodes. The graph is checked and sorted once, and never changes.

    A run stores nothing on the pipeline, its nodes or the callbacks: many may
    run at once. What may change is which ops are bound (`load`), in one step.

    >>> from chariots_core.pipelines import BaseOp, Node
    >>> class AddOne(BaseOp):
    ...     def execute(self, number):
    ...         return number + 1
    >>> class IsOdd(BaseOp):
    ...     def execute(self, number):
    ...         return number % 2 == 1
    >>> pipeline = Pipeline(
    ...     [
    ...         Node(AddOne(), ["__pipeline_input__"], "one_more"),
    ...         Node(IsOdd(), ["one_more"], "__pipeline_output__"),
    ...     ],
    ...     name="next_is_odd",
    ... )
    >>> pipeline.run(4)
    True

    Args:
        pipeline_nodes: the nodes, in any order.
        name: what an app serves it under.
        pipeline_callbacks: called around each run and each node of it.
        use_worker: whether calls go to a worker; ``None``: others decide.

    Raises:
        GraphError: the nodes are no graph that can run, or the callbacks are none.
        TypeError: *use_worker* is no switch.
    """

    def __init__(
        self,
        pipeline_nodes: Sequence[BaseNode],
        name: str,
        pipeline_callbacks: Sequence[PipelineCallback] | None = None,
        use_worker: bool | None = None,
    ) -> None:
        self._name = checked_name(name, "a pipeline")
        self._nodes = _checked_list(self._name, pipeline_nodes)
        self._plan = graph.build_plan(self._name, self._nodes)
        self._op_edges = graph.op_edges(self._plan)
        self._pipeline_callbacks = checked_callbacks(
            pipeline_callbacks, PipelineCallback, f"pipeline_callbacks of pipeline {self._name!r}"
        )
        self._ops = _first_ops(self._plan)
        self.use_worker = use_worker

    @property
    def name(self) -> str:
        return self._name

    @property
    def plan(self) -> Plan:
        return self._plan

    @property
    def pipeline_nodes(self) -> tuple[BaseNode, ...]:
        """
        The nodes, in the order in which they run.
        """
        return tuple(step.node for step in self._plan.steps)

    @property
    def node_for_name(self) -> Mapping[str, BaseNode]:
        """
        Each node under its name.
        """
        return {node.name: node for node in self.pipeline_nodes}

    @property
    def pipeline_callbacks(self) -> tuple[PipelineCallback, ...]:
        return self._pipeline_callbacks

    @property
    def use_worker(self) -> bool | None:
        """
        Whether calls go to a worker; ``None``: the app or the request decides.
        """
        return self._use_worker

    @use_worker.setter
    def use_worker(self, use_worker: bool | None) -> None:
        self._use_worker = checked_switch(use_worker, f"use_worker of pipeline {self._name!r}")

    @property
    def ops(self) -> Mapping[str, BaseOp]:
        """
        Leaf path (``"pca"``, or ``"outer/pca"``) to the op bound now, in topological order.
        """
        return self._ops

    @property
    def op_edges(self) -> tuple[tuple[str, str], ...]:
        """
        (upstream leaf path, downstream leaf path) of each link between ops, once.
        """
        return self._op_edges

    @property
    def trained(self) -> frozenset[str]:
        """
        The leaf paths whose ops train when they run.
        """
        return frozenset(path for path, op in self._ops.items() if op.trains)

    @property
    def op_version(self) -> Version:
        """
        The versions of all nodes, added up in order.
        """
        return reduce(add, self.get_pipeline_versions().values())

    def get_pipeline_versions(
        self, ops: Mapping[str, BaseOp] | None = None
    ) -> dict[BaseNode, Version]:
        """
        Node to version, for the ops that are bound now, or for *ops*.
        """
        bound = self._ops if ops is None else ops
        return {step.node: _version(step, bound) for step in self._plan.steps}

    def run(
        self,
        pipeline_input: Any = None,
        *,
        ops: Mapping[str, BaseOp] | None = None,
        callbacks: Sequence[PipelineCallback] = (),
        on_node: OnNode | None = None,
    ) -> Any:
        """
        Run in this thread, as `SequentialRunner.run` does.
        """
        return _RUNNER.run(self, pipeline_input, ops=ops, callbacks=callbacks, on_node=on_node)

    def load(self, op_store_client: PipelineStore) -> Self:
        """
        Bind the ops of a validated set of versions, in one step, and give the pipeline.

        Runs that have begun keep the ops they began with.

        Raises:
            VersionError: there is no such set.
        """
        loaded = op_store_client.load_pipeline(self)
        unknown = sorted(set(loaded) - set(self._ops))
        if unknown:
            raise PipelineError(
                f"the op store gave ops for {unknown!r}, which pipeline {self._name!r} does not "
                f"have: it has {list(self._ops)!r}"
            )
        self._ops = MappingProxyType({path: loaded.get(path, op) for path, op in self._ops.items()})
        return self

    def save(self, op_store_client: PipelineStore) -> None:
        """
        Save the state of the ops bound now, and validate their versions with each other.
        """
        op_store_client.save_pipeline(self)

    def __repr__(self) -> str:
        return f"<Pipeline {self._name!r} of {[node.name for node in self.pipeline_nodes]}>"


def _first_ops(plan: Plan) -> Mapping[str, BaseOp]:
    ops: dict[str, BaseOp] = {}
    for step in plan.steps:
        if step.nested is not None:
            # what the inner pipeline has bound by now, not what it was made with
            inner = step.nested[0].ops
            ops.update({f"{step.path}/{path}": op for path, op in inner.items()})
        elif step.op is not None:
            ops[step.path] = step.op
    return MappingProxyType(ops)


def _version(step: Step, ops: Mapping[str, BaseOp]) -> Version:
    if step.nested is not None:
        return reduce(add, (_version(inner, ops) for inner in step.nested[1].steps))
    return step.node.node_version if step.op is None else ops[step.path].op_version


def _checked_list(pipeline: str, nodes: object) -> tuple[BaseNode, ...]:
    if isinstance(nodes, list | tuple):
        return tuple(nodes)
    raise GraphError(f"pipeline_nodes of pipeline {pipeline!r} are {nodes!r}: give a list of nodes")
