"""
The classes behind the names of ops: clashes of two classes, and moved classes.

A default name identifies the class of the op. An explicit name (`BaseOp.name` is
overridden) may be shared by several classes on purpose.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import attrs

from chariots_core.errors import OpNameConflict, OpVersionNotFound
from chariots_core.op_store import states
from chariots_core.op_store.origins import class_path, has_own_name, is_or_comes_from
from chariots_core.op_store.states import Template
from chariots_core.op_store.values import Link, Manifest, OpVersion, Origin, SavedOp, short_version
from chariots_core.pipelines.ops import LoadableOp
from chariots_core.versioning import Version

if TYPE_CHECKING:
    from chariots_core.op_store.client import BaseOpStoreClient


def check_classes(client: BaseOpStoreClient, templates: Iterable[Template], app: str) -> None:
    """
    Return if no op of the app has a name under which the store keeps another class.

    A class that has a trained state of its own there, by `adopt` or before it moved, is
    at home under that name, whichever of the two trained last.

    Args:
        client: the store.
        templates: the pipelines of the app.
        app: how to import the app, for the message.

    Raises:
        OpNameConflict: one has; the message names both classes and the remedies.
    """
    templates = tuple(templates)
    ops = _states(templates)
    classes = {class_path(op) for template in templates for op in template.ops.values()}
    for name, stored in client.newest(ops).items():
        other = other_class(ops[name], stored)
        if other is None or other in classes or stored.origin is None:
            continue
        if _may_share(ops[name], stored.origin):
            continue
        if not _trained_by(client, name, class_path(ops[name])):
            raise OpNameConflict(
                f"op {name!r} of class {class_path(ops[name])} has the name of another op: the "
                f"store keeps {_kept(client, name, other)} under it; if the class moved, run "
                f"`chariots ops adopt {name} --app {app}`; if these are two ops, give one of them "
                f"a name that no other op has (such as name = {_other_name(ops[name])!r} in the "
                "class), or another op store (CHARIOTS_OP_STORE)"
            )


def _may_share(op: LoadableOp, origin: Origin) -> bool:
    """
    Whether *op* may have the state of another class, since the author gave the name: to
    both classes, or to one of two in the same module, such as a class that was renamed;
    or to a class that inherits from the other one.
    """
    if not has_own_name(op) and not origin.named:
        return False
    if has_own_name(op) and is_or_comes_from(op, origin.op_class):
        return True
    mine, other = (path.partition(":")[0] for path in (class_path(op), origin.op_class))
    return (has_own_name(op) and origin.named) or mine == other or "abc" in {mine, other}


def moved(client: BaseOpStoreClient, op: LoadableOp, other: str, app: str) -> str:
    """
    Describe how to adopt the models of *op* that another class saved.

    Args:
        client: the store.
        op: the op.
        other: that class.
        app: how to import the app.
    """
    return (
        f"the store keeps {_kept(client, op.name, other)} as op {op.name!r}: if that class is now "
        f"{class_path(op)}, run `chariots ops adopt {op.name} --app {app}`"
    )


def adopt(
    client: BaseOpStoreClient, templates: Collection[Template], names: Collection[str]
) -> Mapping[str, Version]:
    """
    Make the newest trained states of ops, saved by another class or from another module,
    states of the classes that the app has.

    Their links are kept. The versions of the other class stay, and its servers go on.

    Args:
        client: the store.
        templates: the pipelines of the app.
        names: the ops; none: all whose state another class saved.

    Returns:
        Op to its version from now on. It is the newest; load the pipelines.

    Raises:
        OpVersionNotFound: the app or the store has no such op.
    """
    ops = _states(templates)
    if unknown := sorted(set(names) - ops.keys()):
        raise OpVersionNotFound(
            f"the app has no op with state of the name {unknown[0]!r}: it has "
            + (", ".join(repr(name) for name in sorted(ops)) or "none")
        )
    adopted: dict[str, tuple[OpVersion, SavedOp]] = {}
    for name in names or sorted(ops):
        stored = newest_trained(client, name)
        if stored is None:
            if names:
                raise OpVersionNotFound(f"the store keeps no trained state of op {name!r}")
        elif names or other_class(ops[name], stored) is not None:
            adopted[name] = stored, _as_of(ops[name], stored)
    identities = {
        (name, before.version.identity): after.version.identity
        for name, (before, after) in adopted.items()
    }
    links = tuple(dict.fromkeys(_moved_links(client, templates, identities)))
    saved = tuple(after for _, after in adopted.values())
    if saved:
        client.publish(Manifest(pipeline="", saved=saved, links=links), release=True)
    return {name: after.version for name, (_, after) in adopted.items()}


def _as_of(op: LoadableOp, stored: OpVersion) -> SavedOp:
    major = states.code_major(op)
    version = attrs.evolve(stored.version, major=major)
    origin = stored.origin
    if origin is not None:
        before, now = origin.op_class.partition(":")[0], class_path(op).partition(":")[0]
        _, *rest = origin.code.split(".")
        origin = attrs.evolve(
            origin,
            op_class=class_path(op),
            named=has_own_name(op),
            code=".".join([major, *rest]),
            # a model class of the app's own has moved along
            declared=origin.declared.replace(f'"{before}.', f'"{now}.'),
        )
    return attrs.evolve(stored.as_saved(), version=version, code=major, trained=True, origin=origin)


def _moved_links(
    client: BaseOpStoreClient,
    templates: Iterable[Template],
    identities: Mapping[tuple[str, str], str],
) -> Iterator[Link]:
    named = dict.fromkeys(
        (template.ops[up].name, template.ops[down].name)
        for template in templates
        for up, down in template.edges
    )
    for upstream, downstream in named:
        for link in client.links_between(upstream, downstream):
            ends = (upstream, link.upstream_version), (downstream, link.downstream_version)
            if identities.keys() & set(ends):
                yield attrs.evolve(
                    link,
                    upstream_version=identities.get(ends[0], ends[0][1]),
                    downstream_version=identities.get(ends[1], ends[1][1]),
                )


def _states(templates: Iterable[Template]) -> dict[str, LoadableOp]:
    return {
        op.name: op
        for template in templates
        for op in template.ops.values()
        if isinstance(op, LoadableOp)
    }


def other_class(op: LoadableOp, stored: OpVersion) -> str | None:
    """
    Return the class that saved a state, if it is another one than that of *op*.
    """
    if stored.origin is None or stored.origin.op_class == class_path(op):
        return None
    return stored.origin.op_class


def newest_trained(client: BaseOpStoreClient, name: str) -> OpVersion | None:
    """
    Return the newest trained state of an op, from any code.
    """
    for stored in client.savings(name):
        if _is_trained(stored):
            return stored
    return None


def _trained_by(client: BaseOpStoreClient, name: str, of_class: str) -> list[Version]:
    """
    Return the trained versions that the store keeps under a name of one class, the
    newest first.
    """
    return [
        stored.version
        for stored in client.savings(name)
        if stored.origin is not None
        and stored.origin.trained
        and stored.origin.op_class == of_class
    ]


def _kept(client: BaseOpStoreClient, name: str, of_class: str) -> str:
    """
    Describe the versions that one class has saved under a name.
    """
    trained = [version.identity for version in _trained_by(client, name, of_class)]
    if not trained:
        return f"the untrained state of {of_class}"
    number = len(set(trained))
    count = "1 trained version" if number == 1 else f"{number} trained versions"
    return f"{count} of {of_class}, the newest {short_version(trained[0])},"


def _other_name(op: LoadableOp) -> str:
    """
    Return a name for *op* that hardly another op has.
    """
    return f"{class_path(op).partition(':')[0].rpartition('.')[2]}_{op.name}"


def _is_trained(stored: OpVersion) -> bool:
    return stored.digest is not None and (stored.origin is None or stored.origin.trained)
