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

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from chariots_core.errors import GraphError

if TYPE_CHECKING:
    from chariots_core.pipelines.nodes import BaseNode
    from chariots_core.pipelines.ops import BaseOp
    from chariots_core.pipelines.pipeline import Pipeline

T = TypeVar("T")


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


def checked_callbacks(
    given: Iterable[T] | None,
    kind: type[T],
    what: str,
    error: Callable[[str], Exception] = GraphError,
) -> tuple[T, ...]:
    """
    The callbacks that somebody gave; none for ``None``.

    Args:
        given: what was given.
        kind: what each of them has to be.
        what: how the message calls them.
        error: what is raised with the message.

    Raises:
        Exception: an *error*, since they are not all of *kind*.
    """
    if given is None:
        return ()
    if not isinstance(given, Iterable):
        raise error(f"{what} are {given!r}: give a list of {kind.__name__} objects")
    callbacks = tuple(given)
    for callback in callbacks:
        if not isinstance(callback, kind):
            remedy = _remedy(callback, kind)
            raise error(f"{what} hold {callback!r}, which is no {kind.__name__}: {remedy}")
    return callbacks


def _remedy(callback: object, kind: type) -> str:
    if isinstance(callback, type) and issubclass(callback, kind):
        return f"write {callback.__name__}()"
    if isinstance(callback, OpCallBack):
        return "give it to an op, as one of its op_callbacks"
    if isinstance(callback, PipelineCallback):
        return "give it to a pipeline, as one of its pipeline_callbacks"
    return f"give an object of a class that extends {kind.__name__}"
