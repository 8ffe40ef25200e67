"""
The lease to train an op: one run at a time, over all processes that use a store.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from chariots_core.errors import StoreUnavailable, TrainingInProgress

if TYPE_CHECKING:
    from chariots_core.op_store.client import BaseOpStoreClient

_log: Final = logging.getLogger(__name__)

#: Seconds for which a lease is good without being renewed. A process that dies leaves
#: its lease behind, and other runs wait for that long.
SECONDS: Final = 15.0

#: Seconds for which a lease is good after a run of an op that continues its training:
#: the next one must find what this one has published, and a worker tries to commit for
#: a minute.
UNTIL_PUBLISHED: Final = 90.0

#: Seconds between two tries to take a lease that another run holds.
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


def job_holder(job_id: str) -> str:
    """
    Return the holder that all attempts of a job are.
    """
    return f"job {job_id}"


class TrainingLease:
    """
    The right to train some ops, taken from the store and renewed by a thread.

    Args:
        client: the store.
        ops: the names of the ops.
        job_id: the job that trains. Its attempts are one holder: the next one takes
            over at once. ``None``: a run without a job.
        timeout: seconds to wait for other runs, from now on; ``None``: for as long as
            they take.
    """

    def __init__(
        self,
        client: BaseOpStoreClient,
        ops: Collection[str],
        *,
        job_id: str | None = None,
        timeout: float | None = None,
    ) -> None:
        self._client = client
        self._ops = sorted(ops)
        self._holder = (
            f"process {os.getpid()} of {socket.gethostname()} ({secrets.token_hex(4)})"
            if job_id is None
            else job_holder(job_id)
        )
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._ended = threading.Event()
        self._lost_to: str | None = None
        self._thread: threading.Thread | None = None

    def take(self) -> None:
        """
        Wait for the lease, and keep it until `end`.

        Raises:
            TrainingInProgress: another run trains one of the ops, and goes on.
            StoreUnavailable: the store cannot be reached.
        """
        deadline, pause = self._deadline, _FIRST_PAUSE
        while held := self._client.take_lease(self._ops, holder=self._holder, seconds=SECONDS):
            if deadline is not None and time.monotonic() + pause > deadline:
                raise self._refused(held)
            if pause == _FIRST_PAUSE:
                _log.info("training waits: %s", self._refused(held))
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._thread = threading.Thread(
            target=self._renew, name="chariots-training-lease", daemon=True
        )
        self._thread.start()

    def take_turn(self, locks: Iterable[threading.Lock]) -> ExitStack:
        """
        Wait for the locks of this process, and give what releases them.

        Raises:
            TrainingInProgress: another run of this process trains one of the ops, and goes on.
        """
        with ExitStack() as held:
            for lock in locks:
                if not lock.acquire(timeout=self._time_left()):
                    raise TrainingInProgress(
                        f"another call of this process trains {self._names}: wait for that "
                        "training, then call again"
                    )
                held.callback(lock.release)
            return held.pop_all()

    def check(self) -> None:
        """
        Return if the lease is still this run's.

        Raises:
            TrainingInProgress: it expired, and another run has taken it.
        """
        if self._lost_to is None:
            self._lost_to = next(iter(self._renewed().values()), None)
        if self._lost_to is not None:
            raise TrainingInProgress(
                f"the training of {self._names} lost its lease to {self._lost_to!r}: this process "
                f"was halted for more than {SECONDS:g} s; run the training again"
            )

    def leave(self, seconds: float | None = None) -> None:
        """
        Stop renewing the lease. The publication of the job's models ends it, so that the
        next training finds these models. Without a publication it expires.

        Args:
            seconds: for how long it is good from now on; ``None``: as it is.
        """
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if seconds is not None:
            self._client.take_lease(self._ops, holder=self._holder, seconds=seconds, renew=True)

    def end(self) -> None:
        """
        Give the lease back. Idempotent.
        """
        self.leave()
        try:
            self._client.end_lease(self._holder)
        except StoreUnavailable as error:
            _log.warning(
                "the lease to train %s ends by itself in %g s: %s", self._names, SECONDS, error
            )

    def _time_left(self) -> float:
        # as `threading.Lock.acquire` takes it: -1 for no bound
        return -1 if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def _renewed(self) -> Mapping[str, str]:
        return self._client.take_lease(self._ops, holder=self._holder, seconds=SECONDS, renew=True)

    @property
    def _names(self) -> str:
        return ", ".join(repr(op) for op in self._ops)

    @staticmethod
    def _refused(held: Mapping[str, str]) -> TrainingInProgress:
        who = ", ".join(f"{op!r} by {holder!r}" for op, holder in held.items())
        return TrainingInProgress(
            f"op {who} is being trained: wait for that training, then call again"
        )

    def _renew(self) -> None:
        while not self._ended.wait(SECONDS / 3):
            try:
                held = self._renewed()
            except StoreUnavailable:
                continue
            except Exception:  # noqa: BLE001 - the next try may succeed
                _log.exception("the lease to train %s was not renewed", self._names)
                continue
            if held:
                self._lost_to = next(iter(held.values()))
                return
