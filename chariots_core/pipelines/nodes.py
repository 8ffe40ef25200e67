"""
Nodes: ops, and the names of what they read and give.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import Any

from chariots_core.errors import GraphError
from chariots_core.pipelines.names import checked_name, fault_of, shown
from chariots_core.pipelines.ops import BaseOp
from chariots_core.pipelines.plan import BasePipeline
from chariots_core.versioning import Version


class ReservedNodes(Enum):
    """
    The two names that a pipeline itself gives a meaning.
    """

    pipeline_input = "__pipeline_input__"
    pipeline_output = "__pipeline_output__"


class BaseNode(ABC):
    """
    A step of a pipeline: a name, what it reads, what it gives.

    `Node` is the one to use; a subclass of your own needs `execute` and
    `node_version`. A node is never changed, and may serve in many pipelines.

    Args:
        name: unique within a pipeline.
        input_nodes: names, or other nodes with a single output.
        output_nodes: a name, or several for an op that gives a tuple; none for
            a node that ends its path, or that others name as an object.
    """

    def __init__(
        self,
        name: str,
        input_nodes: Sequence[str | ReservedNodes | BaseNode] | None = None,
        output_nodes: str | ReservedNodes | Sequence[str | ReservedNodes] | None = None,
    ) -> None:
        self._name = checked_name(name, "a node")
        self._input_nodes = tuple(self._checked_input(item) for item in _listed(input_nodes))
        self._output_nodes = tuple(self._checked_output(item) for item in _listed(output_nodes))

    @property
    def name(self) -> str:
        """
        The node's name.
        """
        return self._name

    @property
    def input_nodes(self) -> tuple[str | BaseNode, ...]:
        """
        What the node reads: names, or the nodes that give it.
        """
        return self._input_nodes

    @property
    def output_nodes(self) -> tuple[str, ...]:
        """
        The names of what the node gives.
        """
        return self._output_nodes

    @property
    @abstractmethod
    def node_version(self) -> Version:
        """
        The version of what the node was made with.
        """

    @abstractmethod
    def execute(self, *inputs: Any) -> Any:
        """
        Do the node's work.
        """

    def __repr__(self) -> str:
        inputs = [item.name if isinstance(item, BaseNode) else item for item in self.input_nodes]
        return f"<{type(self).__name__} {self.name!r} {inputs} -> {list(self.output_nodes)}>"

    def _checked_input(self, item: object) -> str | BaseNode:
        if isinstance(item, BaseNode):
            return item
        name = _text_of(item)
        if name is None:
            raise GraphError(
                f"input {item!r} of node {self._name!r} is neither a name nor a node: "
                "give the name of an output, or the node that gives it",
                node=self._name,
            )
        return name

    def _checked_output(self, item: object) -> str:
        name = _text_of(item)
        if name is None:
            raise GraphError(
                f"output {item!r} of node {self._name!r} is no name: give a text that is not empty",
                node=self._name,
            )
        return name


class Node(BaseNode):
    """
    An op, or a whole pipeline, as a step of a pipeline.

    >>> from chariots_core.pipelines import BaseOp
    >>> class AddOne(BaseOp):
    ...     def execute(self, number):
    ...         return number + 1
    >>> Node(AddOne(), input_nodes=["__pipeline_input__"], output_nodes="one_more")
    <Node 'addone' ['__pipeline_input__'] -> ['one_more']>

    Args:
        op: what does the work.
        input_nodes: names, or other nodes with a single output.
        output_nodes: a name, or several for an op that gives a tuple.
        name: the op's own name, if not given.
    """

    def __init__(
        self,
        op: BaseOp | BasePipeline,
        input_nodes: Sequence[str | ReservedNodes | BaseNode] | None = None,
        output_nodes: str | ReservedNodes | Sequence[str | ReservedNodes] | None = None,
        *,
        name: str | None = None,
    ) -> None:
        _check_op(op, name)
        self._op = op
        super().__init__(op.name if name is None else name, input_nodes, output_nodes)
        _check_op_name(op, self._name)

    @property
    def op(self) -> BaseOp | BasePipeline:
        """
        The op or pipeline that the node was made with.
        """
        return self._op

    @property
    def node_version(self) -> Version:
        """
        The version of the op that the node was made with.
        """
        return self._op.op_version

    def execute(self, *inputs: Any) -> Any:
        """
        Execute the op that the node was made with, without a pipeline around it.
        """
        if isinstance(self._op, BaseOp):
            return self._op.execute_with_all_callbacks(inputs)
        return self._op.run(*inputs)


def _check_op(op: object, node: str | None) -> None:
    if isinstance(op, BaseOp | BasePipeline):
        return
    hint = f"write {op.__name__}()" if isinstance(op, type) else "give an op or a pipeline"
    where = "a node" if node is None else f"node {node!r}"
    raise GraphError(f"{op!r} is no op, and {where} needs one: {hint}", node=node)


def _check_op_name(op: BaseOp | BasePipeline, node: str) -> None:
    # Whether it is a text at all is seen where the ops of a pipeline are compared.
    name: object = op.name
    if isinstance(name, str) and (fault := fault_of(name)):
        raise GraphError(f"the op of node {node!r} is called {shown(name)}: {fault}", node=node)


def _listed(items: Any) -> Sequence[Any]:
    if items is None:
        return ()
    if isinstance(items, list | tuple):
        return items
    return (items,)


def _text_of(item: object) -> str | None:
    value = item.value if isinstance(item, ReservedNodes) else item
    return value if isinstance(value, str) and value else None
