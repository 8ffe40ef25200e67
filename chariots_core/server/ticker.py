"""
The part of a web process that looks, now and then, for jobs whose time has come.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from typing import Final

from flask import Request

from chariots_core import patience
from chariots_core.app import App
from chariots_core.app.neighbours import REPORT_TTL
from chariots_core.errors import BackendUnavailable
from chariots_core.workers.risks import tell_risks
from chariots_core.workers.session import new_worker_id

_log = logging.getLogger(__name__)

#: Set in a request's environment where no thread may stay behind it.
NO_BACKGROUND: Final = "chariots.no_background"

_STOP_PATIENCE: Final = 5.0

#: Seconds for which a store is waited for at the end.
_FAREWELL: Final = 2.0


class Ticker:
    """
    A thread that calls ``app.tick()`` and reports the presence of this process. Only
    where the app has workers.

    It belongs to one process: a process that forks later gets one of its own.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid: int | None = None
        self._process_id = ""
        self._needed = app.pool is not None

    @property
    def due(self) -> bool:
        """
        Whether it is needed, and this process has not started it.
        """
        return self._needed and self._pid != os.getpid()

    def start_for(self, request: Request, *, testing: bool) -> None:
        """
        Start because of *request*, unless that is a test's.
        """
        if testing or request.environ.get(NO_BACKGROUND):
            return
        self.start()

    def start(self) -> None:
        """
        Start the thread, if this process has none. Idempotent.
        """
        with self._lock:
            if not self.due:
                return
            self._pid = os.getpid()
            self._stopped = threading.Event()
            self._process_id = new_worker_id()
            interval = self._app.settings.tick_interval
            self._thread = threading.Thread(
                target=_tick_until,
                args=(self._stopped, weakref.ref(self._app), interval, self._process_id),
                name=f"chariots-tick-{self._app.name}",
                daemon=True,
            )
            self._thread.start()

    def stop(self) -> None:
        """
        End the thread and wait for it. Idempotent.
        """
        with self._lock:
            ours = self._pid == os.getpid()
            thread, self._thread, self._pid = self._thread, None, None
            self._stopped.set()
        if ours and thread is not None:
            thread.join(_STOP_PATIENCE)
            with patience.bounded(seconds=_FAREWELL):
                self._app.neighbours.leave(self._process_id)


def _tick_until(
    stopped: threading.Event, app: weakref.ref[App], interval: float, process_id: str
) -> None:
    told = False
    next_report = _report(app(), process_id, interval)
    # Processes that start together shall not all look at the same moment.
    while not stopped.wait(interval * random.uniform(0.8, 1.2)):
        alive = app()
        if alive is None:
            return
        if time.monotonic() >= next_report:
            next_report = _report(alive, process_id, interval)
        try:
            alive.tick()
            alive.report_presence()
            if not told:
                tell_risks(alive.job_store)
                told = True
        except BackendUnavailable as error:
            _log.warning("jobs were not looked after, and will be later: %s", error)
        except Exception:  # noqa: BLE001 - one bad look is no reason to stop looking
            _log.exception("looking after jobs failed; it goes on")
        del alive


def _report(app: App | None, process_id: str, interval: float) -> float:
    """
    Report this web process to others of the app; return when to do it again.
    """
    if app is not None:
        app.neighbours.report("web", process_id, ttl=REPORT_TTL + 2 * interval)
    return time.monotonic() + REPORT_TTL / 3
