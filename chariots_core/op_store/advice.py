"""
The errors of blocked pipelines, with what to run to get them served.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Final

import attrs

from chariots_core.op_store import obstacles, remedies, states
from chariots_core.op_store.adoption import moved, newest_trained, other_class
from chariots_core.op_store.loaded import Loaded, Loader
from chariots_core.op_store.origins import differences
from chariots_core.op_store.remedies import Known, Plan
from chariots_core.op_store.states import Template
from chariots_core.pipelines.ops import LoadableOp

_log: Final = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Adviser:
    """
    Plans for the pipelines of one app.

    Attributes:
        loader: makes the snapshots, and has the store.
        templates: the pipelines, by name.
        on_worker: whether calls of a pipeline go to a worker.
        app: how to import the app, for commands.
    """

    loader: Loader
    templates: Mapping[str, Template]
    on_worker: Callable[[str], bool]
    app: Callable[[], str]

    def explained(
        self, loaded: Mapping[str, Loaded], before: Mapping[str, Loaded]
    ) -> dict[str, Loaded]:
        """
        Return the snapshots, each blocked one with an error that names what to run.

        Args:
            loaded: the snapshots.
            before: those until now. An error that is new is logged.
        """
        explained = dict(loaded)
        blocked = self._blocked(loaded)
        known = self._known(loaded) if blocked else None
        for name in blocked:
            assert known is not None
            plan = self._with_moved(name, loaded[name], remedies.plan(known, name))
            changed = self._with_changes(name, loaded[name])
            explained[name] = self.loader.explained(self.templates[name], changed, plan)
            known_error = before[name].error if name in before else None
            if str(known_error) != str(explained[name].error):
                _log.warning("%s", explained[name].error)
        return explained

    def plan(self, name: str, loaded: Mapping[str, Loaded]) -> Plan:
        """
        Return what to run to get a pipeline served at the newest versions.
        """
        known = self._known(loaded)
        return self._with_moved(name, loaded[name], remedies.plan(known, name))

    def _blocked(self, loaded: Mapping[str, Loaded]) -> list[str]:
        policy = self.loader.policy
        return [name for name, each in loaded.items() if each.obstacles.blocks(policy)]

    def _with_moved(self, name: str, loaded: Loaded, plan: Plan) -> Plan:
        """
        The plan, which also names the models of classes that have moved.
        """
        ops = self._untrained(name, loaded)
        hints = (moved(self.loader.client, op, self.app()) for op in ops.values())
        found = [hint for hint in hints if hint is not None]
        return attrs.evolve(plan, decisions=(*plan.decisions, *found))

    def _with_changes(self, name: str, loaded: Loaded) -> Loaded:
        """
        The snapshot, whose obstacles also name what has changed since a model was trained.
        """
        since: dict[str, str] = {}
        for op_name, op in self._untrained(name, loaded).items():
            stored = newest_trained(self.loader.client, op_name)
            if stored is None or other_class(op, stored) is not None:
                continue
            changed = [each.text for each in differences(op, stored, self.loader.declared)]
            since[op_name] = "the newest model is of other code" + (
                f": {', '.join(changed)}" if changed else ""
            )
        return attrs.evolve(loaded, obstacles=attrs.evolve(loaded.obstacles, since=since))

    def _untrained(self, name: str, loaded: Loaded) -> dict[str, LoadableOp]:
        ops = map(self.templates[name].ops.get, loaded.obstacles.untrained)
        return {op.name: op for op in ops if isinstance(op, LoadableOp)}

    def _known(self, loaded: Mapping[str, Loaded]) -> Known:
        """
        What plans start from: the newest versions, and the links between them.
        """
        loader, templates = self.loader, self.templates
        newest = loader.client.newest(
            {op.name for template in templates.values() for op in template.ops.values()},
            code={
                op: code for template in templates.values() for op, code in template.code.items()
            },
        )
        parts = {
            name: obstacles.parts_to_serve(template, newest, loader.policy, loader.declared)
            for name, template in templates.items()
        }
        asked = {
            name: states.asked_of(template, parts[name]) for name, template in templates.items()
        }
        links = states.links_of(chain.from_iterable(each.values() for each in asked.values()))
        return Known(
            templates=templates,
            parts=parts,
            bound={
                name: {part.op: part.version.identity for part in each.parts.values()}
                for name, each in loaded.items()
            },
            asked=asked,
            valid=loader.client.valid(links),
            blocked=self._blocked(loaded),
            on_worker=self.on_worker,
        )
