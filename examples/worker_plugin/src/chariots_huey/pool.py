"""
What the backend ``huey`` may be told, and its pool.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from pathlib import Path
from typing import ClassVar, Final

import attrs
from huey.storage import SqliteStorage

from chariots_core.queues import QueueOptions, quoted
from chariots_core.workers import (
    CORE_CAPABILITIES,
    BaseWorkerPool,
    BrokerUnavailable,
    Capabilities,
    RunOutcome,
    SubmitRequest,
    WorkerSession,
)

_log = logging.getLogger(__name__)

#: Seconds for which a locked file is waited for: workers call `submit`, too, while a lease runs.
_PATIENCE: Final = 2.0

#: Seconds between two looks of an idle worker into its queues, and after one that failed.
_POLL, _RETRY = 0.05, 1.0

#: What can go wrong with a file that is a database.
_BROKEN: Final = (sqlite3.Error, OSError)

#: A parent's connections, which a child neither uses nor closes: the locks are the parent's.
_INHERITED: Final[list[object]] = []


@attrs.frozen(kw_only=True)
class HueyOptions(QueueOptions):
    """
    What the backend ``huey`` may be told, beside what any queue may be.

    Attributes:
        path: the SQLite file with the queues.
    """

    path: str = attrs.field(
        default=".chariots/huey.db",
        validator=[attrs.validators.instance_of(str), attrs.validators.min_len(1)],
        metadata={"expects": "the path of a file"},
    )


class HueyWorkerPool(BaseWorkerPool):
    """
    Hands job ids over by queues of Huey, and takes them from there.

    Huey forgets a message as it gives it out. One that a killed worker had in
    its hand is sent again by core, after `resend_after` seconds.
    """

    name = "huey"
    capabilities: ClassVar[Capabilities] = CORE_CAPABILITIES | Capabilities(
        priorities=True, queues=True
    )

    def __init__(self, options: HueyOptions) -> None:
        # No input or output yet: a pool is made before a web server forks.
        self.resend_after = options.resend_after
        self.store_url = options.job_store
        self.path = Path(options.path).absolute()
        self._pid = os.getpid()
        self._open: dict[str, SqliteStorage] = {}

    def queue(self, app: str, name: str) -> SqliteStorage:
        """
        A queue of an app, on a connection of this process.
        """
        # Not every fork is one that `after_fork_in_child` is called for: servers fork, too.
        if self._pid != os.getpid():
            self.after_fork_in_child()
        key = f"{quoted(app)}.{quoted(name)}"
        if key not in self._open:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open[key] = SqliteStorage(
                key, filename=str(self.path), timeout=_PATIENCE, strict_fifo=True
            )
        return self._open[key]

    def submit(self, request: SubmitRequest) -> None:
        """
        Put one message into the queue of the request.

        Raises:
            BrokerUnavailable: the file cannot be written: SQLite undoes what it does not finish.
        """
        # JSON, since Huey's own messages are pickled; the priority is told in case it goes back.
        message = json.dumps([request.message_id, request.priority]).encode()
        try:
            self.queue(request.app, request.queue).enqueue(message, request.priority)
        except _BROKEN as error:
            raise BrokerUnavailable(
                f"the queue in {str(self.path)!r} did not take the job: {error}; "
                "see that this process may write there and that nobody holds the file",
                job_id=request.job_id,
            ) from error

    def run_worker(self, session: WorkerSession) -> None:
        """
        Take one message after the other, from the first queue that has one.
        """
        while session.keep_running():
            try:
                ran = any(self._run_one(session, name) for name in session.queues)
            except _BROKEN as error:
                _log.warning("the queue in %s is out of reach for now: %s", self.path, error)
                session.wait(_RETRY)
            else:
                if not ran:
                    session.wait(_POLL)

    def _run_one(self, session: WorkerSession, name: str) -> bool:
        message = self.queue(session.app_name, name).dequeue()
        if message is None:
            return False
        try:
            message_id, priority = json.loads(message)
            job_id = message_id.rpartition("-")[0]
        except (ValueError, TypeError, AttributeError, RecursionError):
            _log.warning("what is no message was dropped from the queue %r", name)
            return True
        if session.run(job_id) is RunOutcome.HANDED_BACK:
            self.queue(session.app_name, name).enqueue(message, priority)
        return True

    def after_fork_in_child(self) -> None:
        """
        Leave the connections to the parent.
        """
        _INHERITED.append(self._open)
        self._pid, self._open = os.getpid(), {}

    def close(self) -> None:
        """
        Close the connections of this process. Idempotent; a later use connects anew.
        """
        super().close()
        if self._pid == os.getpid():
            for storage in self._open.values():
                storage.close()
            self._open = {}
