"""
What can be called around ops, nodes and pipelines.

The order, for a pipeline of one node::

    pipeline callbacks   before_execution
    pipeline callbacks   before_node_execution
    the op itself        before_execution
    op callbacks         before_execution
    the op itself        execute
    the op itself        after_execution
    op callbacks         after_execution
    pipeline callbacks   after_node_execution
    pipeline callbacks   after_execution

Several callbacks of one kind are called in the order in which they were given.
An exception of a callback ends the run, as one of an op does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chariots_core.pipelines.nodes import BaseNode
    from chariots_core.pipelines.ops import BaseOp
    from chariots_core.pipelines.pipeline import Pipeline


class OpCallBack:
    """
    Called around each execution of the ops it is given to. Override what you need.

    >>> from chariots_core.pipelines import BaseOp
    >>> class Show(OpCallBack):
    ...     def after_execution(self, callback_op, args, output):
    ...         print(callback_op.name, args, "->", output)
    >>> class AddOne(BaseOp):
    ...     def execute(self, number):
    ...         return number + 1
    >>> AddOne(op_callbacks=[Show()]).execute_with_all_callbacks([3])
    addone (3,) -> 4
    4
    """

    def before_execution(self, callback_op: BaseOp, args: Sequence[Any]) -> None:
        """
        Called before *callback_op* executes on *args*.
        """

    def after_execution(self, callback_op: BaseOp, args: Sequence[Any], output: Any) -> None:
        """
        Called after *callback_op* gave *output*; not after an exception.
        """


class PipelineCallback:
    """
    Called around a pipeline's run and around each of its nodes. Override what you need.
    """

    def before_execution(self, pipeline: Pipeline, args: Sequence[Any]) -> None:
        """
        Called before the first node; *args* holds the pipeline's input, if it takes one.
        """

    def after_execution(self, pipeline: Pipeline, args: Sequence[Any], output: Any) -> None:
        """
        Called after the last node; not after an exception.
        """

    def before_node_execution(
        self, pipeline: Pipeline, node: BaseNode, args: Sequence[Any]
    ) -> None:
        """
        Called before *node* executes on *args*.
        """

    def after_node_execution(
        self, pipeline: Pipeline, node: BaseNode, args: Sequence[Any], output: Any
    ) -> None:
        """
        Called after *node* gave *output*; not after an exception.
        """
