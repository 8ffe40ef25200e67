"""
A queue's two ends: what puts a message in, and what takes one out.
"""

from __future__ import annotations

import logging
import re
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from chariots_core.jobs.record import JobRecord, NewJob
from chariots_core.jobs.store import Created, IdempotencyKey, JobStore
from chariots_core.workers import SubmitRequest

if TYPE_CHECKING:
    from chariots_core.workers import WorkerSession

_log = logging.getLogger(__name__)

#: The least and the most seconds between two tries to reach a broker.
_RETRY: Final = (0.2, 5.0)

#: What every engine takes as part of a name; the hyphen begins what is written otherwise.
_PLAIN: Final = re.compile(r"[^A-Za-z0-9_]")


@attrs.frozen
class Message:
    """
    One message that was taken out of a queue.

    Attributes:
        id: its name: `SubmitRequest.message_id`, where Chariots sent it.
        queue: where it came from, as the transport names it.
        tag: what else the transport needs to acknowledge it.
        claimed: its job, where that has been claimed already.
        since: when that was asked for, on the clock of `time.monotonic`.
    """

    id: str
    queue: str
    tag: Any = None
    claimed: JobRecord | None = None
    since: float = 0.0

    @property
    def job_id(self) -> str:
        """
        The id of the job that it names; whatever else it is, the id of none.

        >>> Message("4f2a-3", "queue").job_id
        '4f2a'
        """
        return self.id.rpartition("-")[0]


class Outage:
    """
    A broker that is out of reach of a consumer: told once, and waited for longer
    with each try.
    """

    def __init__(self) -> None:
        self._failures = 0

    def wait(self, session: WorkerSession, error: Exception) -> None:
        """
        Wait before the next try, or until the worker is to stop.
        """
        if not self._failures:
            _log.warning("no messages can be taken, which is tried again: %s", error)
        session.wait(min(_RETRY[0] * 2.0**self._failures, _RETRY[1]))
        self._failures = min(self._failures + 1, 10)

    def end(self) -> None:
        """
        Say that the broker is back, if it was away.
        """
        if self._failures:
            _log.warning("messages can be taken again")
            self._failures = 0


class Consumer(Protocol):
    """
    Takes messages out of queues, for one worker.
    """

    def take(self, session: WorkerSession, seconds: float = 1.0) -> Message | None:
        """
        The next message; ``None`` if none came for some *seconds*, if the worker
        is to stop, or if the broker is out of reach, which is waited for.
        """

    def put_back(self, message: Message) -> None:
        """
        Give a message back: another worker is to have it at once.
        """

    def drop(self, message: Message) -> None:
        """
        Forget a message that is done with: its job has been run, or is none.
        """

    def ahead(self, session: WorkerSession) -> None:  # noqa: ARG002 - for those that override it
        """
        Ask for the next message, which `take` will return, and wait for nothing:
        a job has been run, and its outcome is about to be written. Nothing has
        to be done here.
        """
        return

    def attend(self) -> None:
        """
        Called about every half second while a job runs, to serve a connection,
        say. It waits for no longer than it must. Nothing has to be done here.
        """
        return


class Transport(Protocol):
    """
    A queue's broker. Making one does no input or output; it connects when used,
    in each process anew.

    A subclass has to say how to send and to consume. The rest is as for a broker
    that keeps no jobs and no connections.
    """

    @abstractmethod
    def send(self, request: SubmitRequest) -> None:
        """
        Put one message into the queue of *request*.

        Raises:
            BrokerUnavailable: the broker certainly did not take it.
            TimeoutError: nobody knows whether it did.
        """

    @abstractmethod
    def consumer(self, app: str, queues: Sequence[str]) -> AbstractContextManager[Consumer]:
        """
        What takes messages out of some queues of an app.
        """

    def job_store(self, app: str) -> JobStore | None:  # noqa: ARG002 - for those that override it
        """
        A job store of *app* on the broker itself; ``None``: it can keep none.
        """
        return None

    def record(
        self,
        store: JobStore,  # noqa: ARG002 - likewise
        job: NewJob,  # noqa: ARG002
        idempotency: IdempotencyKey | None,  # noqa: ARG002
        request: SubmitRequest,  # noqa: ARG002
    ) -> Created | None:
        """
        Record *job* and send *request* in one step; ``None``: the two are in different places.
        """
        return None

    def after_fork_in_child(self) -> None:
        """
        Close this process's copies of connections, without a word to the broker.
        """
        return

    def close(self) -> None:
        """
        Give back connections. Idempotent.
        """
        return


def quoted(name: str) -> str:
    """
    *name* in letters, digits, ``_`` and ``-``, so that no two names become one.

    >>> quoted("gpu_jobs"), quoted("gpu-jobs"), quoted("a.b")
    ('gpu_jobs', 'gpu-2djobs', 'a-2eb')
    """
    return _PLAIN.sub(lambda found: "".join(f"-{byte:02x}" for byte in found[0].encode()), name)
