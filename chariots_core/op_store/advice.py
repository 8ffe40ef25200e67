"""
The errors of blocked pipelines, with the commands that get them served.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Final

import attrs

from chariots_core.errors import VersionError
from chariots_core.op_store import obstacles, remedies, states
from chariots_core.op_store.adoption import moved, newest_trained, other_class
from chariots_core.op_store.loaded import Loaded, Loader
from chariots_core.op_store.obstacles import Obstacles
from chariots_core.op_store.origins import class_path, differences
from chariots_core.op_store.remedies import Known, Remedy
from chariots_core.op_store.states import Template
from chariots_core.pipelines.ops import LoadableOp

_log: Final = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Adviser:
    """
    Remedies for the pipelines of one app.

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
        Return the snapshots. Each blocked one has an error with the commands to run.

        Args:
            loaded: the snapshots.
            before: those until now. An error that is new is logged.
        """
        explained = dict(loaded)
        blocked = self._blocked(loaded)
        known = self._known(loaded) if blocked else None
        for name in blocked:
            assert known is not None
            found, remedy = self._completed(
                name, loaded[name].obstacles, remedies.remedy_for(known, name)
            )
            error = obstacles.error_of(
                self.templates[name], found, loaded[name].parts, remedy, self.loader.policy
            )
            explained[name] = attrs.evolve(loaded[name], error=error)
            known_error = before[name].error if name in before else None
            if str(known_error) != str(explained[name].error):
                _log.warning("%s", explained[name].error)
        return explained

    def refusal(self, name: str, loaded: Mapping[str, Loaded]) -> VersionError | None:
        """
        Return the error of a load at the newest versions, with the commands to run.

        Args:
            name: the pipeline's name.
            loaded: the snapshots.
        """
        template = self.templates[name]
        _, parts, found = self.loader.newest(template)
        if not found.blocks(self.loader.policy):
            return None
        remedy = remedies.remedy_for(self._known(loaded), name)
        found, remedy = self._completed(name, found, remedy)
        return obstacles.error_of(template, found, parts, remedy, self.loader.policy)

    def _blocked(self, loaded: Mapping[str, Loaded]) -> list[str]:
        policy = self.loader.policy
        return [name for name, each in loaded.items() if each.obstacles.blocks(policy)]

    def _completed(self, name: str, found: Obstacles, remedy: Remedy) -> tuple[Obstacles, Remedy]:
        """
        Add the changes since an untrained op was trained, and moved classes.
        """
        since: dict[str, str] = {}
        hints: list[str] = []
        classes = {class_path(op) for each in self.templates.values() for op in each.ops.values()}
        ops = map(self.templates[name].ops.get, found.untrained)
        for op in {op.name: op for op in ops if isinstance(op, LoadableOp)}.values():
            stored = newest_trained(self.loader.client, op.name)
            if stored is None or states.fits(op, stored):
                continue
            if (other := other_class(op, stored)) is not None:
                # two classes of the app may share a name that its author gave
                if other not in classes:
                    hints.append(moved(self.loader.client, op, other, self.app()))
                continue
            changed = [each.text for each in differences(op, stored, self.loader.declared)]
            since[op.name] = ": ".join(
                filter(None, ("the newest model is of other code", ", ".join(changed)))
            )
        return (
            attrs.evolve(found, since=since),
            attrs.evolve(remedy, decisions=(*remedy.decisions, *hints)),
        )

    def _known(self, loaded: Mapping[str, Loaded]) -> Known:
        """
        What remedies start from: the newest versions, and the links between them.
        """
        loader, templates = self.loader, self.templates
        newest = states.latest(loader.client, templates.values(), loader.declared)
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
