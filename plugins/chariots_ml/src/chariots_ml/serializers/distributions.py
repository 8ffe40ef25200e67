"""
Frozen distributions of scipy, saved by name and arguments.

skops would save their state, and scipy executes text from that state when it is
loaded: a forged state could run code. Some distributions hold
themselves, so that skops cannot save them at all.
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from chariots_ml.serializers.base import import_library

_active: Final = contextvars.ContextVar("chariots-skops-distributions", default=False)


def frozen_distribution(name: str, args: tuple[Any, ...], kwds: dict[str, Any]) -> Any:
    """
    Return the distribution *name* of ``scipy.stats``, frozen with the given arguments.

    Raises:
        LookupError: scipy.stats has no distribution of that name.
    """
    stats = import_library("scipy.stats", extra="sklearn")
    found = getattr(stats, name, None)
    if isinstance(found, (stats.rv_continuous, stats.rv_discrete)):
        return found(*args, **kwds)
    raise LookupError(f"scipy.stats has no distribution {name!r}")


@contextmanager
def saved_by_name() -> Iterator[None]:
    """
    Let skops save frozen distributions by name, as long as the block lasts.
    """
    _register()
    token = _active.set(True)
    try:
        yield
    finally:
        _active.reset(token)


@functools.cache
def _register() -> None:
    # The dispatcher of skops is private. Without it distributions are refused when a
    # model is saved, as types that are not trusted.
    try:
        from scipy.stats.distributions import rv_frozen
        from skops.io._utils import _get_state, get_state
    except ImportError:
        return
    plain = _get_state.dispatch(rv_frozen)

    def state(frozen: Any, context: Any) -> Any:
        if not _active.get():
            return plain(frozen, context)
        parts = (_name(frozen), tuple(frozen.args), dict(frozen.kwds))
        return {
            "__class__": frozen_distribution.__name__,
            "__module__": frozen_distribution.__module__,
            "__loader__": "ConstructorFromReduceNode",
            "content": get_state(parts, context),
        }

    _get_state.register(rv_frozen, state)


def _name(frozen: Any) -> str:
    stats = import_library("scipy.stats", extra="sklearn")
    name = frozen.dist.name
    if type(getattr(stats, str(name), None)) is not type(frozen.dist):
        raise TypeError(
            f"distribution {name!r} is not one of scipy.stats: give a list of values in its place"
        )
    return str(name)
