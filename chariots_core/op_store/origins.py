"""
The origin of a saved state, and its differences from the code of today.

Pure functions over ops and stored versions; nothing here reads or writes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

from chariots_core.errors import ChariotsError, OpStoreError
from chariots_core.op_store.values import OpVersion, Origin
from chariots_core.pipelines.ops import BaseOp, LoadableOp
from chariots_core.versioning import version_of
from chariots_core.versioning.canonical import qualified_name

#: Characters of a declaration that the store keeps; of a longer one it keeps the digest.
_LONGEST: Final = 16_384

#: How many differences one message names.
_SHOWN: Final = 5

#: The member of a declaration whose change is an error under every policy.
CLASS: Final = "class"


@attrs.frozen(kw_only=True)
class Difference:
    """
    One difference between a stored state and the code.

    Attributes:
        text: the difference in words.
        of_class: whether the state is of another class.
    """

    text: str
    of_class: bool = False


def class_path(op: BaseOp) -> str:
    """
    Return the class of *op* as ``module:Class``.

    Functions around the class do not count: a class that a function or a notebook
    cell defines again is the same one.
    """
    return _path(type(op))


def is_or_comes_from(op: BaseOp, path: str) -> bool:
    """
    Return whether the class of *op*, or one that it inherits from, is the one at *path*.
    """
    return path in map(_path, type(op).__mro__)


def _path(kind: type) -> str:
    module, _, name = qualified_name(kind).partition(":")
    return f"{module}:{name.rpartition('<locals>.')[2]}"


def has_own_name(op: BaseOp) -> bool:
    """
    Return whether the author gave *op* its name. Otherwise it is that of the class.

    A class made by a call of ``type`` has no module of its own, so it is not checked.
    """
    kind = type(op)
    return kind.__module__ == "abc" or kind.name is not BaseOp.name


def bare_origin(op: LoadableOp) -> Origin:
    """
    Return the origin of an op that has no state worth saving yet.
    """
    return Origin(op_class=class_path(op), named=has_own_name(op), code=version_of(op).identity)


def origin_of(op: LoadableOp, *, trained: bool, continued_from: str | None = None) -> Origin:
    """
    Return the origin of the state that *op* has now.

    Args:
        op: the op.
        trained: whether a run trained that state.
        continued_from: the identity of the version that the training started from.

    Raises:
        OpStoreError: a declaration of the op is not JSON.
    """
    return Origin(
        op_class=class_path(op),
        named=has_own_name(op),
        code=version_of(op).identity,
        trained=trained,
        declared=declared_text(op),
        fitted=_text(op, "fitted"),
        continued_from=continued_from,
    )


def declared_text(op: LoadableOp) -> str:
    """
    Return the declaration of *op* as canonical JSON text.

    Raises:
        OpStoreError: the op raises an error, or the declaration is not JSON.
    """
    return _text(op, "declaration")


def is_same_class(one: LoadableOp, other: LoadableOp) -> bool:
    """
    Return whether two ops declare a state of the same class.

    Raises:
        OpStoreError: a declaration is not JSON.
    """
    first, second = (json.loads(declared_text(op)).get(CLASS) for op in (one, other))
    return bool(first == second)


def _text(op: LoadableOp, method: str) -> str:
    try:
        found = getattr(op, method)()
    except ChariotsError:
        raise
    except Exception as error:
        raise OpStoreError(
            f"{method}() of op {op.name!r} failed: {type(error).__name__}: {error}"
        ) from error
    try:
        text = json.dumps(dict(found), sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise OpStoreError(
            f"{method}() of op {op.name!r} gave {found!r:.80}, which is not JSON ({error}): "
            "return a mapping of texts to JSON values"
        ) from error
    if len(text) <= _LONGEST:
        return text
    short = {"sha256": hashlib.sha256(text.encode()).hexdigest()}
    if CLASS in found:
        short[CLASS] = str(found[CLASS])
    return json.dumps(short, sort_keys=True, separators=(",", ":"))


def is_trained(op: LoadableOp, stored: OpVersion | None) -> bool:
    """
    Return whether *op* can execute with a stored state: a run trained it, or none needs to.
    """
    if not op.needs_training:
        return True
    if stored is None:
        return False
    if stored.origin is not None:
        return stored.origin.trained
    # saved by an earlier release: the version of a fresh state is the code's own
    return stored.version != version_of(op)


def differences(
    op: LoadableOp, stored: OpVersion, declared: Callable[[LoadableOp], str] | None = declared_text
) -> tuple[Difference, ...]:
    """
    Return how the code of *op* differs from the code that made a stored state of it.

    A state of an earlier release has no origin, and no differences.

    Args:
        op: the op.
        stored: its stored state.
        declared: returns the declaration of an op, and may cache it.
            ``None``: only versioned fields are compared, and no model is built.
    """
    origin = stored.origin
    if origin is None:
        return ()
    found: list[Difference] = []
    if declared is not None:
        then, now = json.loads(origin.declared), json.loads(declared(op))
        found = list(_declared(then, now)) if then and now else []
    return tuple(found or _of_fields(origin, op))


def _declared(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    if then.get(CLASS) != now.get(CLASS):
        text = f"it is a {then.get(CLASS)}, and the code declares a {now.get(CLASS)}"
        yield Difference(text=text, of_class=True)
        # parameters of two classes do not compare
        return
    before, after = _flat(then), _flat(now)
    names = sorted(
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    )
    for name in names[:_SHOWN]:
        shown = (json.dumps(side[name]) if name in side else "not set" for side in (before, after))
        was, is_now = (text if len(text) <= 60 else f"{text[:57]}..." for text in shown)
        yield Difference(text=f"{name} was {was}, and is {is_now} in the code")
    if len(names) > _SHOWN:
        yield Difference(text=f"{len(names) - _SHOWN} more differences")


def _flat(declared: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in declared.items():
        if isinstance(value, Mapping):
            flat.update(value)
        elif name != CLASS:
            flat[name] = value
    return flat


def _of_fields(origin: Origin, op: LoadableOp) -> Iterator[Difference]:
    _, *then = origin.code.split(".")
    _, *now = version_of(op).identity.split(".")
    for level, before, after in zip(("MINOR", "PATCH"), then, now, strict=True):
        if before != after:
            yield Difference(text=f"versioned fields of type {level} have other values in the code")
