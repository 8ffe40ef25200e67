"""
Faults of the framework's own in a job: its record is for the client to read, and
what is in such a fault may be secret.
"""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Final, Self

from chariots_core.errors import ChariotsError
from chariots_core.pipelines.raised import Phase, set_phase

_log: Final = logging.getLogger(__name__)


class HiddenFaults:
    """
    A block that lets out the errors of Chariots and what its `guard` saw; any other
    exception is logged, and one without its text is raised instead.

    Written as a class: `contextlib.contextmanager` sets attributes of an
    exception that passes, and replaces one that refuses them.

    Args:
        what: what is being done, for the log and the message.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._users: list[BaseException] = []

    def guard(self) -> _Guard:
        """
        A block within, whose exceptions are the user's.
        """
        return _Guard(self._users)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None or not issubclass(kind, Exception) or issubclass(kind, ChariotsError):
            return
        if any(error is other for other in self._users):
            return
        _log.error("a fault of the framework's own in %s", self._what, exc_info=error)
        raise ChariotsError(
            f"the worker met a fault of its own in {self._what}; its log has it"
        ) from None


class _Guard:
    def __init__(self, users: list[BaseException]) -> None:
        self._users = users

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._users.append(error)
            set_phase(error, Phase.run)
