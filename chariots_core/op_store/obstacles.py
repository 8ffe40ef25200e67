"""
Obstacles: the reasons why a pipeline cannot be served at some versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from shlex import quote
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from chariots_core.errors import ModelOutdated, NeverTrained, VersionError
from chariots_core.op_store import states
from chariots_core.op_store.origins import Difference, declared_text, differences
from chariots_core.op_store.policy import Edge, Part, unmet
from chariots_core.op_store.remedies import Remedy
from chariots_core.op_store.states import Template
from chariots_core.op_store.values import OpVersion, short_version
from chariots_core.pipelines.ops import LoadableOp

if TYPE_CHECKING:
    from chariots_core.op_store.client import BaseOpStoreClient

#: How to treat a saved state that was made from other declared values than the code's. A state of another class is an error in any case.
ChangedModels: TypeAlias = Literal["warn", "refuse"]

_SAVE: Final = "save {!r} if the two fit"


@attrs.frozen(kw_only=True)
class Obstacles:
    """
    The obstacles to serving a pipeline at some versions.

    Attributes:
        untrained: the paths of ops whose state cannot execute: no run trained it.
        apart: the edges whose ends do not belong together.
        first: the edges whose ends meet for the first time, and so belong together
            on the word of the author of the code.
        changed: path to the differences between its state and its code.
        missing: the paths of ops whose code fits none of the versions. They keep
            the fresh state of the code.
        since: for ops that were never trained with this code, the changes since the
            newest training.
    """

    untrained: tuple[str, ...] = ()
    apart: tuple[Edge, ...] = ()
    first: tuple[Edge, ...] = ()
    changed: Mapping[str, tuple[Difference, ...]] = attrs.field(factory=dict)
    missing: tuple[str, ...] = ()
    since: Mapping[str, str] = attrs.field(factory=dict)

    def refused(self, policy: ChangedModels) -> tuple[str, ...]:
        """
        Return the paths whose differences are an error.
        """
        return tuple(
            path
            for path, found in self.changed.items()
            if policy == "refuse" or any(each.of_class for each in found)
        )

    def blocks(self, policy: ChangedModels) -> bool:
        """
        Return whether the pipeline cannot be served.
        """
        return bool(self.untrained or self.apart or self.refused(policy))


def find(
    client: BaseOpStoreClient,
    template: Template,
    stored: Mapping[str, OpVersion],
    parts: Mapping[str, Part],
    declared: Callable[[LoadableOp], str] | None = declared_text,
) -> Obstacles:
    """
    Return the obstacles to serving a pipeline at the stored versions.

    Args:
        client: the store; it is asked about links only.
        template: the pipeline.
        stored: op name to version.
        parts: leaf path to part, at those versions.
        declared: returns the declaration of an op; ``None``: only versioned fields
            are compared.
    """
    asked = states.asked_of(template, parts)
    valid = client.valid(states.links_of(asked.values()))
    served = [
        path for path, part in parts.items() if part.stateful and path not in template.trained
    ]
    return Obstacles(
        untrained=tuple(path for path in served if not parts[path].trained),
        apart=unmet(asked, valid),
        first=tuple(
            edge
            for edge, each in asked.items()
            if each.is_first(valid) and not {each.unless, each.instead} & valid
        ),
        changed=_changed(
            template, stored, [path for path in served if parts[path].from_store], declared
        ),
        missing=tuple(path for path in served if not parts[path].from_store),
    )


def _changed(
    template: Template,
    stored: Mapping[str, OpVersion],
    paths: list[str],
    declared: Callable[[LoadableOp], str] | None,
) -> Mapping[str, tuple[Difference, ...]]:
    found: dict[str, tuple[Difference, ...]] = {}
    for path in paths:
        op = template.ops[path]
        assert isinstance(op, LoadableOp)
        if some := differences(op, stored[op.name], declared):
            found[path] = some
    return found


def parts_to_serve(
    template: Template,
    stored: Mapping[str, OpVersion],
    policy: ChangedModels,
    declared: Callable[[LoadableOp], str],
) -> Mapping[str, Part]:
    """
    Return the parts of a pipeline at the stored versions. A state that the policy
    refuses counts as not trained.
    """
    parts = states.parts_of(template.ops, stored)
    served = [path for path in parts if parts[path].from_store and path not in template.trained]
    changed = _changed(
        template, stored, [path for path in served if parts[path].stateful], declared
    )
    stale = Obstacles(changed=changed).refused(policy)
    return {
        path: attrs.evolve(part, trained=False) if path in stale else part
        for path, part in parts.items()
    }


def warnings_of(
    obstacles: Obstacles, parts: Mapping[str, Part], policy: ChangedModels
) -> tuple[str, ...]:
    """
    Return a sentence for each state that is served although its code has changed.
    """
    refused = obstacles.refused(policy)
    changed = (
        _changed_text(parts[path], found)
        for path, found in obstacles.changed.items()
        if path not in refused
    )
    fresh = (
        f"op {parts[path].op!r} has the fresh state of its code: no saved state fits that code"
        for path in obstacles.missing
        if parts[path].trained
    )
    return (*changed, *fresh)


def error_of(
    template: Template,
    obstacles: Obstacles,
    parts: Mapping[str, Part],
    remedy: Remedy,
    policy: ChangedModels,
) -> VersionError:
    """
    Return the error that names each obstacle and the commands to run.
    """
    name = template.name
    advice = _advice(remedy)
    kind: type[VersionError]
    if obstacles.untrained:
        # one op at two places is one sentence
        ops = dict.fromkeys(parts[path].op for path in obstacles.untrained)
        only_load = remedy.commands == (f"chariots load {quote(name)}",)
        what_of = "has a trained model that is not loaded yet"
        blockers = [
            f"op {op!r} {what_of if only_load else 'was never trained with this code'}"
            + ("" if only_load or op not in obstacles.since else f" ({obstacles.since[op]})")
            for op in ops
        ]
        kind, what = NeverTrained, "cannot be served"
    elif obstacles.apart:
        blockers = [
            _apart_text(name, parts[upstream], parts[downstream])
            for upstream, downstream in obstacles.apart
        ]
        kind, what = VersionError, "has versions that were not validated together"
    else:
        blockers = [
            _changed_text(parts[path], obstacles.changed[path])
            for path in obstacles.refused(policy)
        ]
        kind, what = ModelOutdated, "has models that the code no longer declares"
    return kind(
        f"pipeline {name!r} {what}: {'; '.join(blockers)}{advice}",
        blockers=blockers,
        commands=remedy.commands,
    )


def _apart_text(pipeline: str, upstream: Part, downstream: Part) -> str:
    text = (
        f"{upstream.op!r} {short_version(upstream.version)} -> "
        f"{downstream.op!r} {short_version(downstream.version)} is not validated"
    )
    fit = _SAVE.format(pipeline)
    if not (upstream.stateful and downstream.stateful):
        return f"{text}: {fit}"
    again = f"{text}: {downstream.op!r} must be trained with this version of {upstream.op!r}"
    if upstream.from_store and downstream.from_store:
        return again
    return f"{again}, or {fit}"


def _changed_text(part: Part, found: tuple[Difference, ...]) -> str:
    return f"op {part.op!r} {short_version(part.version)} was trained by other code: " + ", ".join(
        each.text for each in found
    )


def _advice(remedy: Remedy) -> str:
    text = ""
    if remedy.commands:
        text = "; run " + ", then ".join(f"`{command}`" for command in remedy.commands)
        if any("@FILE" in command for command in remedy.commands):
            text += " (FILE: the training data as JSON)"
    return text + "".join(f"; {decision}" for decision in remedy.decisions)
