"""
Snapshots: pipelines as a process serves them.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, TypeAlias

import attrs

from chariots_core.errors import ChariotsError, StoreUnavailable, VersionError
from chariots_core.op_store import obstacles, states
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.obstacles import ChangedModels, Obstacles
from chariots_core.op_store.origins import declared_text, differences
from chariots_core.op_store.policy import Part, link_between
from chariots_core.op_store.remedies import Remedy
from chariots_core.op_store.states import Template
from chariots_core.op_store.values import ActiveSet, OpVersion, SavedOp
from chariots_core.pipelines.ops import BaseOp, LoadableOp

_log: Final = logging.getLogger(__name__)

#: How many sets a process reads first, and how many it examines at most, for one that
#: its code can serve.
_SETS_TRIED: Final = 100

#: The generation of a set, and how often it was loaded.
SetKey: TypeAlias = tuple[int, int]


def key_of(active: ActiveSet) -> SetKey:
    """
    Return the key that identifies one load of one set.
    """
    return active.generation, active.loads


@attrs.frozen(kw_only=True)
class Loaded:
    """
    A snapshot of a pipeline as this process serves it. It never changes.

    Attributes:
        generation: the generation of the set it is served at.
        loads: how often that set was loaded.
        newest: the key of the pipeline's newest set. This process serves an older
            one if its code cannot serve the newest.
        ops: leaf path to op. Ops that the pipeline trains have no loaded
            state here: a run of them works on copies, see `LoadedPipelines.training`.
        versions: name of each node to its version, as text.
        trains: whether a run trains something.
        error: why it cannot be served, if it cannot.
        warnings: a sentence for each model that is served although the code
            declares other values.
        behind: why this process does not serve the newest set, if it does not.
        obstacles: the problems of its versions.
        stored: op name to the stored version of its state.
        parts: leaf path to what the policy needs to know of it.
    """

    generation: int
    loads: int = 1
    newest: SetKey
    ops: Mapping[str, BaseOp]
    versions: Mapping[str, str]
    trains: bool
    error: ChariotsError | None = None
    warnings: tuple[str, ...] = ()
    behind: str | None = None
    obstacles: Obstacles = attrs.field(factory=Obstacles, repr=False)
    stored: Mapping[str, OpVersion] = attrs.field(repr=False)
    parts: Mapping[str, Part] = attrs.field(repr=False)

    @property
    def is_loaded(self) -> bool:
        """
        Whether it can be served.
        """
        return self.error is None

    @property
    def is_blocked(self) -> bool:
        """
        Whether its versions keep it from being served, and not its bytes.
        """
        return isinstance(self.error, VersionError)

    def check(self) -> Loaded:
        """
        Itself, if it can be served.

        Raises:
            VersionError: its versions do not belong together.
            OpStoreError: the state of one of its ops cannot be read.
        """
        if self.error is not None:
            # a copy, since each raising writes its own traceback
            raise copy.copy(self.error) from self.error.__cause__
        return self


@attrs.frozen(kw_only=True)
class _Choice:
    """
    The set that a process serves a pipeline at.
    """

    active: ActiveSet
    obstacles: Obstacles
    behind: str | None = None


@attrs.frozen(kw_only=True)
class Loader:
    """
    Makes snapshots of pipelines.

    Attributes:
        client: the store.
        policy: how to treat a model whose code has changed.
    """

    client: BaseOpStoreClient
    policy: ChangedModels = "warn"
    # a declaration does not change, and may require building a model
    _declared: dict[int, str] = attrs.field(factory=dict, init=False, repr=False)

    def declared(self, op: LoadableOp) -> str:
        """
        Return the declaration of an op of a template, made once.
        """
        if id(op) not in self._declared:
            self._declared[id(op)] = declared_text(op)
        return self._declared[id(op)]

    def follow(self, template: Template, newest: ActiveSet, before: Loaded | None) -> Loaded:
        """
        Return a pipeline at the newest set that its code can serve.

        Problems are recorded as obstacles. `Adviser` turns them into the error.

        Args:
            template: the pipeline.
            newest: its newest set.
            before: the snapshot so far. It stays where nothing has changed for it.

        Raises:
            StoreUnavailable: the store cannot be reached.
        """
        if before is not None and before.newest == key_of(newest) and before.error is None:
            at_newest = (before.generation, before.loads) == before.newest
            if at_newest:
                return self.with_trained(template, before)
        choice = self._choose(template, newest, self.declared)
        if before is None or not self._is_same(before, choice):
            return self._made(template, choice, newest)
        kept = attrs.evolve(
            before,
            newest=key_of(newest),
            obstacles=choice.obstacles,
            behind=choice.behind,
            error=None,
        )
        return self.with_trained(template, kept)

    def would_serve(self, template: Template, newest: ActiveSet) -> int:
        """
        Return the generation that a process with this code serves; 0: it cannot serve any.

        Only versioned fields are compared: a process that forks for its jobs must not
        build a model.
        """
        choice = self._choose(template, newest, declared=None)
        return 0 if choice.obstacles.blocks(self.policy) else choice.active.generation

    def activate(self, template: Template, before: Loaded) -> Loaded:
        """
        Return a pipeline at its newest saved versions, which are its active set from now on.

        A load that changes nothing leaves the active set as it is.

        Raises:
            VersionError: the versions do not belong together.
            OpStoreError: the state of an op cannot be read.
        """
        stored, parts, found = self.newest(template)
        if found.blocks(self.policy):
            raise obstacles.error_of(template, found, parts, Remedy(), self.policy)
        ops = states.restored(self.client, template, stored, without=template.trained)
        wanted = states.members(ops, stored)
        if (
            before.error is None
            and _is_settled(template)
            and _identities(wanted) == _identities(before.stored.values())
        ):
            return self.with_trained(template, before)
        if found.first:
            # a later release of the stateless op is compared with these versions
            self.client.validate(
                link_between(parts[upstream], parts[downstream])
                for upstream, downstream in found.first
            )
        active = self.client.activate(template.name, wanted)
        return self._snapshot(template, active, ops, found, newest=key_of(active))

    def newest(
        self, template: Template
    ) -> tuple[Mapping[str, OpVersion], Mapping[str, Part], Obstacles]:
        """
        Return the newest saved versions of a pipeline, and their obstacles.
        """
        stored = states.latest(self.client, [template], self.declared)
        parts = states.parts_of(template.ops, stored)
        return stored, parts, obstacles.find(self.client, template, stored, parts, self.declared)

    def with_trained(self, template: Template, loaded: Loaded) -> Loaded:
        """
        Return the snapshot with the newest versions that were trained, in `versions`.
        """
        if not template.trained:
            return loaded
        known = states.newest_trained(self.client, template)
        versions = {path: part.version for path, part in loaded.parts.items()}
        for path in template.trained:
            op = template.ops[path].name
            if op in known:
                versions[path] = known[op].version
        return attrs.evolve(loaded, versions=states.versions_as_text(template, versions))

    # -- which set

    def _choose(
        self, template: Template, newest: ActiveSet, declared: Callable[[LoadableOp], str] | None
    ) -> _Choice:
        found = self._examined(template, newest, declared)
        is_served = not found.blocks(self.policy) and not found.missing
        if is_served and not found.changed:
            return _Choice(active=newest, obstacles=found)
        for active in islice(self._older(template, newest), _SETS_TRIED):
            # a model of the code's own values is better than a newer one of other values
            if is_served and _has_changed(template, active, declared):
                continue
            older = self._examined(template, active, declared)
            if not older.blocks(self.policy) and not older.missing:
                return _Choice(
                    active=active, obstacles=older, behind=self._why(template, newest, found)
                )
        return _Choice(active=newest, obstacles=found)

    def _older(self, template: Template, newest: ActiveSet) -> Iterator[ActiveSet]:
        """
        Yield the sets before *newest* that have a state for each op that is served, the
        newest first. However often other code was loaded meanwhile, they are found.
        """
        seen = newest.generation
        for limit in (_SETS_TRIED, None):
            for active in self.client.activations(template.name, limit=limit):
                if active.generation < seen:
                    seen = active.generation
                    if states.fits_all(template, active.ops):
                        yield active

    def _examined(
        self, template: Template, active: ActiveSet, declared: Callable[[LoadableOp], str] | None
    ) -> Obstacles:
        parts = states.parts_of(template.ops, active.ops)
        return obstacles.find(self.client, template, active.ops, parts, declared)

    def _why(self, template: Template, active: ActiveSet, found: Obstacles) -> str:
        if found.missing:
            ops = ", ".join(sorted({repr(template.ops[path].name) for path in found.missing}))
            return f"generation {active.generation} has no model for the code of op {ops} here"
        parts = states.parts_of(template.ops, active.ops)
        if not found.blocks(self.policy):
            changed = "; ".join(obstacles.warnings_of(found, parts, self.policy))
            return f"generation {active.generation} is of other code: {changed}"
        error = obstacles.error_of(template, found, parts, Remedy(), self.policy)
        return f"generation {active.generation} cannot be served here: {error.message}"

    def _is_same(self, before: Loaded, choice: _Choice) -> bool:
        """
        Whether the ops of a snapshot are those of a choice, so that nothing is read again.
        """
        return (
            (before.error is None or before.is_blocked)
            and (before.generation, before.loads) == key_of(choice.active)
            and self._unread(before.obstacles) == self._unread(choice.obstacles)
        )

    def _unread(self, found: Obstacles) -> frozenset[str]:
        """
        The paths whose state is not read, since it cannot be served.
        """
        return frozenset({*found.untrained, *found.refused(self.policy)})

    # -- snapshots

    def _made(self, template: Template, choice: _Choice, newest: ActiveSet) -> Loaded:
        active, found = choice.active, choice.obstacles
        ops, error = template.ops, None
        try:
            ops = states.restored(
                self.client,
                template,
                active.ops,
                without={*template.trained, *self._unread(found)},
            )
        except StoreUnavailable:
            raise
        except ChariotsError as failure:
            error = failure
            _log.warning("pipeline %r cannot be served: %s", template.name, error)
        if choice.behind is not None:
            _log.warning(
                "pipeline %r is served at generation %d: %s",
                template.name,
                active.generation,
                choice.behind,
            )
        loaded = self._snapshot(template, active, ops, found, newest=key_of(newest))
        return attrs.evolve(loaded, behind=choice.behind, error=error)

    def _snapshot(
        self,
        template: Template,
        active: ActiveSet,
        ops: Mapping[str, BaseOp],
        found: Obstacles,
        *,
        newest: SetKey,
    ) -> Loaded:
        # as the store has them: every process shows the same creation times
        parts = states.parts_of(ops, active.ops)
        warnings = obstacles.warnings_of(found, parts, self.policy)
        for warning in warnings:
            _log.warning("pipeline %r: %s", template.name, warning)
        versions = {path: part.version for path, part in parts.items()}
        loaded = Loaded(
            generation=active.generation,
            loads=active.loads,
            newest=newest,
            ops=ops,
            versions=states.versions_as_text(template, versions),
            trains=bool(template.trained),
            warnings=warnings,
            obstacles=found,
            stored=active.ops,
            parts=parts,
        )
        return self.with_trained(template, loaded)


def _has_changed(
    template: Template, active: ActiveSet, declared: Callable[[LoadableOp], str] | None
) -> bool:
    """
    Return whether a model of a set is known, or may be, of other values than the code's.
    """
    return any(
        active.ops[name].origin is None or differences(op, active.ops[name], declared)
        for name, op in states.served(template).items()
    )


def _identities(ops: Iterable[SavedOp | OpVersion]) -> frozenset[tuple[str, str, str | None]]:
    return frozenset((op.op, op.version.identity, op.digest) for op in ops)


def _is_settled(template: Template) -> bool:
    """
    Whether runs of a pipeline leave the state of its ops as it was loaded.

    An op that executes without a training may build up a state in the process, and
    a load replaces that.
    """
    return all(op.needs_training for op in states.served(template).values())
