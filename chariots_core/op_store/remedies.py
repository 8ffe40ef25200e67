"""
Remedies: the commands that get a blocked pipeline served, or a person's decision.

The commands are found by simulation: loads and trainings of the app's pipelines
are applied to the newest versions and to the links between them, until the blocked
pipeline can be loaded. Pure functions; nothing here reads or writes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import count
from shlex import quote
from typing import Final, TypeAlias

import attrs

from chariots_core.op_store import states
from chariots_core.op_store.origins import class_path, is_same_class
from chariots_core.op_store.policy import Edge, Part, Question
from chariots_core.op_store.states import Template
from chariots_core.op_store.values import Link
from chariots_core.pipelines.ops import LoadableOp

#: A version in the remedy: an identity of the store, or a number for one to come.
_Version: TypeAlias = str | int

#: (upstream op, its version, downstream op, its version)
_Pair: TypeAlias = tuple[str, _Version, str, _Version]

#: Trainings of one remedy. A remedy that needs more goes in a circle.
_LONGEST: Final = 100


@attrs.frozen(kw_only=True)
class Known:
    """
    The facts that a remedy starts from.

    Attributes:
        templates: the pipelines of the app, by name.
        parts: for each pipeline, leaf path to part at the newest versions.
        bound: for each pipeline, op name to the identity of the version bound now.
        asked: for each pipeline, the question of each edge at the newest versions.
        valid: the links that are valid.
        blocked: the pipelines that cannot run now.
        on_worker: whether calls of a pipeline go to a worker. A training in the
            request must be saved.
    """

    templates: Mapping[str, Template]
    parts: Mapping[str, Mapping[str, Part]]
    bound: Mapping[str, Mapping[str, str]]
    asked: Mapping[str, Mapping[Edge, Question]]
    valid: Collection[Link]
    blocked: Collection[str]
    on_worker: Callable[[str], bool]


@attrs.frozen(kw_only=True)
class Remedy:
    """
    A way to get a pipeline served.

    Attributes:
        commands: the commands to run, in order.
        decisions: decisions that a person must make after the commands, or instead.
    """

    commands: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()


def remedy_for(known: Known, pipeline: str) -> Remedy:
    """
    Return the commands after which *pipeline* is served at the newest versions.
    """
    planner = _Planner(known)
    try:
        planner.make_loadable(pipeline, ())
    except _Undecided as undecided:
        return Remedy(decisions=(str(undecided),))
    if unsure := planner.unsure(pipeline):
        return Remedy(commands=tuple(planner.commands), decisions=(unsure,))
    planner.load(pipeline, always=True)
    return Remedy(commands=tuple(planner.commands))


class _Undecided(Exception):
    """
    No command of the app removes what blocks a pipeline.
    """


class _Planner:
    def __init__(self, known: Known) -> None:
        self.commands: list[str] = []
        self._known = known
        self._new = count()
        self._versions: dict[str, _Version] = {}
        self._ready: dict[str, bool] = {}
        for parts in known.parts.values():
            for part in parts.values():
                if part.stateful:
                    self._versions[part.op] = part.version.identity
                    # the pipeline that trains an op needs no trained state of it
                    self._ready[part.op] = self._ready.get(part.op, True) and part.trained
        self._bound: dict[str, dict[str, _Version]] = {
            name: dict(versions) for name, versions in known.bound.items()
        }
        self._pairs: set[_Pair] = set()
        # the edges that trainings of the remedy go over
        self._ran: set[tuple[str, str]] = set()
        # the ops that the remedy has trained, with the pipeline that did it
        self._trained: dict[str, Template] = {}

    # -- commands

    def load(self, name: str, *, always: bool = False) -> None:
        """
        Load a pipeline, unless it has the newest versions already.
        """
        template = self._known.templates[name]
        wanted = {op: self._versions[op] for op in _untrained(template)}
        bound = self._bound.get(name, {})
        current = all(bound.get(op) == version for op, version in wanted.items())
        if always or not current or (wanted and name in self._known.blocked):
            self.commands.append(f"chariots load {quote(name)}")
            self._bound[name] = wanted

    def train(self, template: Template) -> None:
        """
        Call a pipeline that trains.
        """
        name = template.name
        takes_input = " --input @FILE" if template.pipeline.plan.reads_input else ""
        self.commands.append(f"chariots call {quote(name)}{takes_input} --wait")
        if not self._known.on_worker(name):
            self.commands.append(f"chariots save {quote(name)}")
        ran: dict[str, _Version] = dict(self._bound.get(name, {}))
        for op in template.trained_ops:
            ran[op] = self._versions[op] = next(self._new)
            self._ready[op] = True
            self._trained[op] = template
        self._ran |= _named_edges(template)
        for upstream, downstream in _stateful_edges(template):
            if upstream in ran and downstream in ran:
                self._pairs.add((upstream, ran[upstream], downstream, ran[downstream]))

    # -- planning

    def make_loadable(self, name: str, above: tuple[str, ...]) -> None:
        """
        Train the ops that keep a pipeline from being loaded at the newest versions.
        """
        if name in above:
            circle = " -> ".join(repr(each) for each in (*above[above.index(name) :], name))
            raise _Undecided(f"the trainings of pipelines {circle} wait for each other")
        while (blocker := next(self._blockers(name), None)) is not None:
            if len(self.commands) > _LONGEST:
                raise _Undecided(f"no order of trainings ends with {name!r} being served")
            path, upstream = blocker
            self._train_again(name, path, upstream, (*above, name))

    def unsure(self, name: str) -> str | None:
        """
        Return the decision that remains if no training joins two ops without state.
        """
        parts = self._known.parts[name]
        pairs = [
            " and ".join(repr(parts[path].op) for path in edge)
            for edge in self._known.templates[name].edges
            if not parts[edge[1]].stateful and not self._is_met(name, edge)
        ]
        if not pairs:
            return None
        return (
            f"if {', '.join(pairs)} fit as they are, run `chariots save {quote(name)}`, "
            f"then `chariots load {quote(name)}`"
        )

    def _blockers(self, name: str) -> Iterator[tuple[str, str | None]]:
        """
        Yield the path of an op that must be trained, and the op it must be trained with.
        """
        template = self._known.templates[name]
        parts = self._known.parts[name]
        for path, part in parts.items():
            if not part.stateful or path in template.trained:
                continue
            if not self._ready[part.op]:
                yield path, None
            for edge in template.edges:
                if edge[1] == path and not self._is_met(name, edge):
                    yield path, edge[0]

    def _is_met(self, name: str, edge: Edge) -> bool:
        asked = self._known.asked[name].get(edge)
        if asked is None:
            return True
        up, down = (self._known.parts[name][path] for path in edge)
        valid = self._known.valid
        if not down.stateful:
            return (up.op, down.op) in self._ran or asked.is_met(valid)
        if up.stateful:
            if not {up.op, down.op} & self._trained.keys():
                return asked.is_met(valid)
            pair = (up.op, self._versions[up.op], down.op, self._versions[down.op])
            return pair in self._pairs
        if down.op not in self._trained:
            return asked.is_met(valid)
        if (up.op, down.op) in _named_edges(self._trained[down.op]):
            return True
        return asked.link in valid or asked.is_first(valid)

    def _train_again(
        self, name: str, path: str, upstream: str | None, above: tuple[str, ...]
    ) -> None:
        template = self._known.templates[name]
        op = template.ops[path].name
        trainers = [each for each in self._known.templates.values() if op in each.trained_ops]
        others = [each for each in trainers if not _is_same_model(each, template, op)]
        trainers = [each for each in trainers if each not in others]
        wanted = {
            (template.ops[up].name, op)
            for up, down in template.edges
            if down == path and (self._known.parts[name][up].stateful or up == upstream)
        }
        fitting = [each for each in trainers if wanted <= _named_edges(each)]
        if not fitting:
            decision = (
                _other_model(others[0], template, op)
                if others and not trainers
                else self._missing(name, op, wanted, trainers)
            )
            if upstream is not None and not self._known.parts[name][upstream].stateful:
                decision += f"; or, if the two fit as they are, run `chariots save {quote(name)}`"
            raise _Undecided(decision)
        trainer = min(fitting, key=self._costs)
        self.make_loadable(trainer.name, above)
        self.load(trainer.name)
        self.train(trainer)

    def _costs(self, trainer: Template) -> tuple[int, int, str]:
        """
        How many ops a pipeline trains that need no training, and how few that do.
        """
        ready = sum(self._ready[op] for op in trainer.trained_ops)
        return ready, ready - len(trainer.trained_ops), trainer.name

    @staticmethod
    def _missing(name: str, op: str, wanted: set[tuple[str, str]], trainers: list[Template]) -> str:
        if not trainers:
            return (
                f"no pipeline of this app trains {op!r}: add one with {op!r} in a mode that fits, "
                "run it, then load"
            )
        with_what = " and ".join(sorted(repr(upstream) for upstream, _ in wanted))
        some = ", ".join(repr(each.name) for each in trainers)
        return (
            f"no pipeline of this app trains {op!r} behind {with_what}, as {name!r} runs it: "
            f"change {some}, or add a pipeline that does"
        )


def _is_same_model(trainer: Template, template: Template, op: str) -> bool:
    """
    Return whether what one pipeline trains is what another one has code for.
    """
    trains, serves = (states.by_name(each)[op] for each in (trainer, template))
    assert isinstance(trains, LoadableOp)
    assert isinstance(serves, LoadableOp)
    return trainer.code[op] == template.code[op] and is_same_class(trains, serves)


def _other_model(trainer: Template, template: Template, op: str) -> str:
    trains, serves = (class_path(states.by_name(each)[op]) for each in (trainer, template))
    return (
        f"pipeline {trainer.name!r} trains {op!r} by the code of {trains}, and {template.name!r} "
        f"has that of {serves}, which differs: let both have one class, or two names of ops"
    )


def _untrained(template: Template) -> set[str]:
    return {
        template.ops[path].name
        for path in template.ops.keys() - template.trained
        if template.ops[path].name in template.code
    }


def _named_edges(template: Template) -> set[tuple[str, str]]:
    return {(template.ops[up].name, template.ops[down].name) for up, down in template.edges}


def _stateful_edges(template: Template) -> set[tuple[str, str]]:
    return {
        (up, down)
        for up, down in _named_edges(template)
        if up in template.code and down in template.code
    }
