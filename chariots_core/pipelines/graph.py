"""
From a list of nodes to a checked plan.

Every mistake in a graph is a `GraphError` that names the node and says what
would be right. A pipeline without output is legal where a node ends its path
on purpose, by naming no output (a training): its run gives ``None``. Outputs
that nobody reads are legal beside others.
"""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import attrs

from chariots_core.errors import GraphError
from chariots_core.pipelines.callbacks import OpCallBack, checked_callbacks
from chariots_core.pipelines.nodes import BaseNode, Node, ReservedNodes
from chariots_core.pipelines.ops import BaseOp
from chariots_core.pipelines.plan import INPUT_SLOT, BasePipeline, Plan, Step

INPUT_NAME = str(ReservedNodes.pipeline_input.value)
OUTPUT_NAME = str(ReservedNodes.pipeline_output.value)


def build_plan(pipeline_name: str, nodes: Sequence[BaseNode]) -> Plan:
    """
    Check *nodes* as the graph of a pipeline, and sort them.

    Raises:
        GraphError: they are no graph that can run.
    """
    _check_nodes(pipeline_name, nodes)
    graph = _Graph.of(pipeline_name, nodes)
    order = graph.sorted()
    graph.check_output()
    steps = [_step(node, graph.inputs[node], graph.outputs[node]) for node in order]
    plan = Plan(
        steps=tuple(_with_last_reads(steps, graph.output)),
        n_slots=graph.n_slots,
        reads_input=any(INPUT_SLOT in step.inputs for step in steps),
        output=graph.output,
    )
    _check_ops(plan.leaves())
    return plan


def op_edges(plan: Plan) -> tuple[tuple[str, str], ...]:
    """
    (upstream leaf path, downstream leaf path) of each link between two ops, once.
    """
    edges: dict[tuple[str, str], None] = {}
    _walk_edges(plan, (), edges)
    return tuple(edges)


@attrs.frozen
class _Graph:
    """
    Which slots each node reads and fills.
    """

    pipeline: str
    nodes: Sequence[BaseNode]
    outputs: Mapping[BaseNode, tuple[int, ...]]
    slots: Mapping[str, int]
    inputs: dict[BaseNode, tuple[int, ...]]
    makers: Mapping[int, BaseNode]

    @classmethod
    def of(cls, pipeline: str, nodes: Sequence[BaseNode]) -> _Graph:
        outputs, slots = _assign_slots(pipeline, nodes)
        makers = {slot: node for node in nodes for slot in outputs[node]}
        graph = cls(pipeline, nodes, outputs, slots, {}, makers)
        for node in nodes:
            graph.inputs[node] = tuple(graph.slot_of(node, item) for item in node.input_nodes)
        return graph

    @property
    def n_slots(self) -> int:
        return 1 + len(self.makers)

    @property
    def output(self) -> int | None:
        return self.slots.get(OUTPUT_NAME)

    def slot_of(self, reader: BaseNode, item: str | BaseNode) -> int:
        if isinstance(item, BaseNode):
            return self.slot_of_node(reader, item)
        slot = self.slots.get(item)
        if slot is None:
            raise GraphError(
                f"node {reader.name!r} of pipeline {self.pipeline!r} reads {item!r}, which no "
                f"node gives: {_suggestion(item, self.slots)}",
                node=reader.name,
            )
        return slot

    def slot_of_node(self, reader: BaseNode, item: BaseNode) -> int:
        slots = self.outputs.get(item)
        if slots is None:
            raise GraphError(
                f"node {reader.name!r} of pipeline {self.pipeline!r} reads node {item.name!r}, "
                "which is not in the pipeline: add it to the pipeline's nodes",
                node=reader.name,
            )
        if _gives_nothing(item):
            raise GraphError(
                f"node {reader.name!r} of pipeline {self.pipeline!r} reads node {item.name!r}, "
                f"whose pipeline gives nothing: name an output {OUTPUT_NAME!r} in that pipeline, "
                "or read another node",
                node=reader.name,
            )
        if len(slots) > 1:
            raise GraphError(
                f"node {reader.name!r} of pipeline {self.pipeline!r} reads node {item.name!r}, "
                f"which has several outputs: name one of {_quoted(item.output_nodes)}",
                node=reader.name,
            )
        return slots[0]

    def upstream(self, node: BaseNode) -> set[BaseNode]:
        return {self.makers[slot] for slot in self.inputs[node] if slot != INPUT_SLOT}

    def readers(self) -> dict[BaseNode, list[BaseNode]]:
        readers: dict[BaseNode, list[BaseNode]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for maker in self.upstream(node):
                readers[maker].append(node)
        return readers

    def sorted(self) -> list[BaseNode]:
        """
        The nodes in topological order; among equals, in the order given.
        """
        readers = self.readers()
        position = {node: index for index, node in enumerate(self.nodes)}
        waits = {node: len(self.upstream(node)) for node in self.nodes}
        ready = [position[node] for node in self.nodes if not waits[node]]
        order: list[BaseNode] = []
        while ready:
            node = self.nodes[heapq.heappop(ready)]
            order.append(node)
            for reader in readers[node]:
                waits[reader] -= 1
                if not waits[reader]:
                    heapq.heappush(ready, position[reader])
        if len(order) < len(self.nodes):
            raise self.cycle_error({node for node in self.nodes if waits[node]})
        return order

    def cycle_error(self, stuck: set[BaseNode]) -> GraphError:
        # each stuck node waits for another one: walking upstream must come round
        walked: list[BaseNode] = []
        node = next(node for node in self.nodes if node in stuck)
        while node not in walked:
            walked.append(node)
            node = min(self.upstream(node) & stuck, key=lambda maker: maker.name)
        members = walked[walked.index(node) :][::-1]
        node = next(node for node in self.nodes if node in members)
        start = members.index(node)
        cycle = [*members[start:], *members[:start], node]
        shown = " -> ".join(repr(member.name) for member in cycle)
        return GraphError(
            f"nodes of pipeline {self.pipeline!r} wait for each other ({shown}): "
            f"let node {node.name!r} read something else",
            node=node.name,
        )

    def check_output(self) -> None:
        if self.output is None:
            self.check_ends()
        else:
            self.check_input_leads_to(self.makers[self.output])

    def check_ends(self) -> None:
        """
        Without an output, one node must end its path on purpose.
        """
        ends = [node for node, readers in self.readers().items() if not readers]
        if any(not node.output_nodes for node in ends):
            return
        node = ends[-1]
        raise GraphError(
            f"pipeline {self.pipeline!r} has no way to an output: node {node.name!r} gives "
            f"{_quoted(node.output_nodes)}, which no node reads; name the result {OUTPUT_NAME!r}, "
            "or give the last node no output name if the pipeline is to return nothing",
            node=node.name,
        )

    def check_input_leads_to(self, output: BaseNode) -> None:
        """
        An input that is read must reach the output, or a node that ends its path on purpose.
        """
        readers = self.readers()
        reached = [node for node in self.nodes if INPUT_SLOT in self.inputs[node]]
        if not reached:
            return
        for node in reached:
            reached.extend(reader for reader in readers[node] if reader not in reached)
        if output in reached or any(not node.output_nodes for node in reached):
            return
        end = reached[-1]
        raise GraphError(
            f"pipeline {self.pipeline!r} has no way from its input to its output: node "
            f"{output.name!r} does not depend on {INPUT_NAME!r}, and what node {end.name!r} makes "
            f"of it, {_quoted(end.output_nodes)}, is read by no node; let node {output.name!r} "
            f"read it, or give node {end.name!r} no output name",
            node=output.name,
        )


def _check_nodes(pipeline: str, nodes: Sequence[BaseNode]) -> None:
    if not nodes:
        raise GraphError(f"pipeline {pipeline!r} has no nodes: give it at least one")
    nodes_named: dict[str, BaseNode] = {}
    for node in nodes:
        if not isinstance(node, BaseNode):
            raise GraphError(
                f"{node!r} in pipeline {pipeline!r} is no node: write Node({_hint(node)}, ...)"
            )
        if nodes_named.get(node.name) is node:
            raise GraphError(
                f"pipeline {pipeline!r} lists node {node.name!r} twice: list it once, since its "
                "output may have many readers",
                node=node.name,
            )
        if nodes_named.setdefault(node.name, node) is not node:
            raise GraphError(
                f"two nodes of pipeline {pipeline!r} are called {node.name!r}: give one of them "
                "a name of its own, as in Node(op, ..., name='second')",
                node=node.name,
            )


def _assign_slots(
    pipeline: str, nodes: Sequence[BaseNode]
) -> tuple[dict[BaseNode, tuple[int, ...]], dict[str, int]]:
    outputs: dict[BaseNode, tuple[int, ...]] = {}
    slots = {INPUT_NAME: INPUT_SLOT}
    givers = {INPUT_NAME: "the pipeline itself"}
    n_slots = 1
    for node in nodes:
        if node.output_nodes and _gives_nothing(node):
            raise GraphError(
                f"node {node.name!r} of pipeline {pipeline!r} names {_quoted(node.output_nodes)} "
                f"as its output, and its own pipeline gives nothing: name an output "
                f"{OUTPUT_NAME!r} in that pipeline, or give node {node.name!r} no output name",
                node=node.name,
            )
        for name in node.output_nodes:
            if name in slots:
                raise GraphError(
                    f"node {node.name!r} of pipeline {pipeline!r} gives {name!r}, which is given "
                    f"by {givers[name]} already: choose another name for it",
                    node=node.name,
                )
            slots[name] = n_slots
            givers[name] = f"node {node.name!r}"
            n_slots += 1
        named = tuple(slots[name] for name in node.output_nodes)
        if not named:
            # what nobody can name can still be read by linking the node itself
            named = (n_slots,)
            n_slots += 1
        outputs[node] = named
    return outputs, slots


def _step(node: BaseNode, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Step:
    op = node.op if isinstance(node, Node) else None
    if not isinstance(op, BasePipeline):
        return Step(node=node, path=node.name, inputs=inputs, outputs=outputs, op=op)
    _check_nested(node, op, len(inputs))
    nested = (op, op.plan.below(node.name))
    return Step(node=node, path=node.name, inputs=inputs, outputs=outputs, nested=nested)


def _gives_nothing(node: BaseNode) -> bool:
    return (
        isinstance(node, Node) and isinstance(node.op, BasePipeline) and node.op.plan.output is None
    )


def _check_nested(node: BaseNode, inner: BasePipeline, n_inputs: int) -> None:
    expected = 1 if inner.plan.reads_input else 0
    if n_inputs == expected:
        return
    takes = "takes one input" if expected else f"takes no input, since none reads {INPUT_NAME!r}"
    raise GraphError(
        f"node {node.name!r} has {n_inputs} input_nodes, and its pipeline {inner.name!r} {takes}: "
        f"give it {'one' if expected else 'none'}",
        node=node.name,
    )


def _with_last_reads(steps: Sequence[Step], output: int | None) -> Iterable[Step]:
    last: dict[int, int] = {}
    for index, step in enumerate(steps):
        last.update(dict.fromkeys((*step.inputs, *step.outputs), index))
    for index, step in enumerate(steps):
        touched = dict.fromkeys((*step.inputs, *step.outputs))
        yield attrs.evolve(
            step,
            last_reads=tuple(slot for slot in touched if last[slot] == index and slot != output),
        )


def _check_ops(leaves: Iterable[Step]) -> None:
    """
    Ops of one name share their saved state, so they must be of one kind; callbacks
    may be set in a class, or past the constructor.
    """
    known: dict[str, tuple[Step, BaseOp]] = {}
    trained: dict[str, Step] = {}
    for step in leaves:
        op = step.op
        if op is None:
            continue
        if not _is_text(op.name):
            raise GraphError(
                f"the op of node {step.path!r} is called {op.name!r}: its name must be a text that "
                "is not empty",
                node=step.node.name,
            )
        checked_callbacks(
            op.op_callbacks,
            OpCallBack,
            f"op_callbacks of node {step.path!r}",
            partial(GraphError, node=step.node.name),
        )
        other, other_op = known.setdefault(op.name, (step, op))
        if type(other_op) is not type(op):
            raise GraphError(
                f"the ops of nodes {other.path!r} and {step.path!r} are both called {op.name!r}, "
                f"and are of different classes: give one of them a name of its own by a 'name' "
                f"in its class",
                node=step.node.name,
            )
        if op.trains and trained.setdefault(op.name, step) is not step:
            raise GraphError(
                f"nodes {trained[op.name].path!r} and {step.path!r} both train op {op.name!r}, and "
                "only one of the results could be kept: give one op a name of its own by a "
                "'name' in its class",
                node=step.node.name,
            )


def _walk_edges(
    plan: Plan, given: tuple[str, ...], edges: dict[tuple[str, str], None]
) -> tuple[str, ...]:
    """
    Add the edges of *plan*, whose input comes from leaves *given*; the leaves of its output.
    """
    sources: dict[int, tuple[str, ...]] = {INPUT_SLOT: given}
    for step in plan.steps:
        upstream = tuple(dict.fromkeys(path for slot in step.inputs for path in sources[slot]))
        if step.nested is not None:
            made = _walk_edges(step.nested[1], upstream, edges)
        elif step.op is not None:
            edges.update(dict.fromkeys((path, step.path) for path in upstream))
            made = (step.path,)
        else:
            # a node without an op has no version: its readers depend on what it read
            made = upstream
        sources.update(dict.fromkeys(step.outputs, made))
    return () if plan.output is None else sources[plan.output]


def _suggestion(name: str, known: Iterable[str]) -> str:
    names = [known_name for known_name in known if known_name != OUTPUT_NAME]
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"read one of {_quoted(names)}, or let a node give it"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _hint(item: object) -> str:
    return f"{type(item).__name__}()" if isinstance(item, BaseOp) else "an op"
