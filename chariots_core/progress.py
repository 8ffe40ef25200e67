"""
How an op says how far it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from typing import Protocol

import attrs

from chariots_core.jobs.record import Progress

_current: ContextVar[_Reporter | None] = ContextVar("chariots_progress", default=None)


class NodeStarted(Protocol):
    """
    Told of each node as it begins.
    """

    def __call__(self, path: str, index: int, total: int) -> None: ...


def report(done: float, total: float | None = None, message: str | None = None) -> None:
    """
    Say that *done* steps (of *total*) are done. Without a run that listens, nothing happens.

    Call it from an op's ``execute``, in the thread that runs it; another thread
    needs a copy of the context (`contextvars.copy_context`).

    >>> report(1, total=10, message="first epoch")

    Raises:
        ValueError: *done* or *total* is no finite number.
    """
    reporter = _current.get()
    if reporter is not None:
        reporter.send(done, total, message)


def reporting(to: Callable[[Progress], None]) -> AbstractContextManager[NodeStarted]:
    """
    Send what is reported inside the block to *to*.

    Gives the function to pass to a run as ``on_node``: it reports each node as
    it begins, and later reports then name that node.

    >>> with reporting(print) as node_started:
    ...     node_started("fit", 0, 2)
    ...     report(3, total=4)
    Progress(done=0.0, total=2.0, node='fit', message=None)
    Progress(done=3.0, total=4.0, node='fit', message=None)
    """
    return _Reporting(to)


class _Reporting:
    """
    Written as a class: `contextlib.contextmanager` sets attributes of an
    exception that passes, and replaces one that refuses them.
    """

    def __init__(self, to: Callable[[Progress], None]) -> None:
        self._reporter = _Reporter(to)
        self._before: Token[_Reporter | None] | None = None

    def __enter__(self) -> NodeStarted:
        self._before = _current.set(self._reporter)
        return self._reporter.node_started

    def __exit__(self, *_: object) -> None:
        assert self._before is not None
        _current.reset(self._before)


@attrs.define
class _Reporter:
    to: Callable[[Progress], None]
    node: str | None = None

    def node_started(self, path: str, index: int, total: int) -> None:
        self.node = path
        self.send(index, total, None)

    def send(self, done: float, total: float | None, message: str | None) -> None:
        self.to(
            Progress(
                done=_finite("done", done),
                total=None if total is None else _finite("total", total),
                node=self.node,
                message=None if message is None else str(message),
            )
        )


def _finite(name: str, value: float) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"progress cannot be reported: {name} is {value!r}; give a finite number")
    return number
