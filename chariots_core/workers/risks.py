"""
Telling operators what could lose their jobs, before it does.
"""

from __future__ import annotations

import logging
from typing import Final

from chariots_core.jobs.store import JobStore

_log = logging.getLogger(__name__)

#: What this process, or the one that it was forked from, has said already.
_told: Final[set[str]] = set()


def tell_risks(store: JobStore) -> None:
    """
    Log, once in a family of processes, what in a store's settings could lose jobs.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    for risk in store.risks():
        if risk not in _told:
            _told.add(risk)
            _log.warning("%s", risk)
