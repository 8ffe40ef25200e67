"""
Faults of the framework's own in a job: its record is for the client to read, and
what is in such a fault may be secret.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from chariots_core.app.execution import Guard
from chariots_core.errors import ChariotsError

_log: Final = logging.getLogger(__name__)


@contextmanager
def hidden_faults(what: str) -> Iterator[Guard]:
    """
    Let out what is raised within the guard that this gives, and the errors of
    Chariots; log any other exception, and raise one without its text instead.

    Args:
        what: what is being done, for the log and the message.
    """
    users: list[BaseException] = []

    @contextmanager
    def guard() -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            users.append(error)
            raise

    try:
        yield guard
    except Exception as error:
        if issubclass(type(error), ChariotsError) or any(error is other for other in users):
            raise
        _log.exception("a fault of the framework's own in %s", what)
        raise ChariotsError(
            f"the worker met a fault of its own in {what}; its log has it"
        ) from None
