"""
The objects that a model holds.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Mapping
from types import MethodType
from typing import Any, Final

_LEAVES: Final = frozenset(
    {type(None), bool, int, float, complex, str, bytes, bytearray, range, slice}
)


def reachable(model: object, *, saved: bool = False) -> Iterator[object]:
    """
    Yield *model* and each object below it once, without numbers and texts.

    Args:
        model: where to begin.
        saved: whether to follow what an object saves of itself, rather than all it holds.
    """
    # a state may be made for this call only: kept alive, its id is not used again
    seen: dict[int, object] = {}
    waiting = [model]
    while waiting:
        value = waiting.pop()
        if type(value) in _LEAVES or id(value) in seen:
            continue
        seen[id(value)] = value
        yield value
        if saved and _saves_itself(value):
            waiting.append(value.__getstate__())
        else:
            waiting.extend(_inner(value))


def _saves_itself(value: Any) -> bool:
    own = getattr(type(value), "__getstate__", None)
    return own is not None and own is not getattr(object, "__getstate__", None)


def _inner(value: Any) -> list[Any]:
    if isinstance(value, type) or _is_distribution(value):
        return []
    found: list[Any] = []
    if isinstance(value, Mapping):
        found += value.values()
        found.append(getattr(value, "default_factory", None))
    elif isinstance(value, list | tuple | set | frozenset):
        found += value
    elif isinstance(value, functools.partial):
        found += [value.func, value.args, value.keywords]
    elif isinstance(value, MethodType):
        found += [value.__self__, value.__func__]
    elif _is_object_array(value):
        found += value.ravel().tolist()
    # of a function the name is saved, not the attributes
    if not (callable(value) and hasattr(value, "__name__")):
        found += getattr(value, "__dict__", {}).values()
    return found


def _is_distribution(value: object) -> bool:
    # saved by its name: see chariots_ml.serializers.distributions
    frozen = getattr(sys.modules.get("scipy.stats.distributions"), "rv_frozen", None)
    return frozen is not None and isinstance(value, frozen)


def _is_object_array(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray) and value.dtype == object
