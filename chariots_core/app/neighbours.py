"""
Other processes of an app's name: a process reports itself, and compares itself with them.

Two processes of one name and one job store run each other's jobs. That is wanted for
processes of one app, and a mistake for two apps that share a name, or for one app whose
processes use different op stores. A warning at the start names the mistake.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from chariots_core.jobs.processes import ProcessRecord
from chariots_core.jobs.store import JobStore
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.workers.pool import BaseWorkerPool

_log = logging.getLogger(__name__)

#: Seconds for which a report holds; it is repeated three times within them.
REPORT_TTL: Final = 60.0

#: The most names of pipelines in a message.
_SHOWN: Final = 5

#: The differences that this process, or the one that it was forked from, has logged:
#: the app's name, and the fingerprint of the others.
_logged: Final[set[tuple[str, str]]] = set()

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Neighbours:
    """
    The other processes with the name of an app, as its job store lists them.

    Without a worker backend there is no job store, and nothing happens. Nothing here
    raises an error: an app works without it.

    Args:
        app: the app's name.
        pipelines: the names of its pipelines.
        op_store: the app's op store.
        pool: the app's way to workers.
    """

    def __init__(
        self,
        app: str,
        pipelines: Collection[str],
        op_store: BaseOpStoreClient,
        pool: BaseWorkerPool | None,
    ) -> None:
        self._app = app
        self._pipelines = tuple(sorted(pipelines))
        self._op_store = op_store
        self._pool = pool
        self._compared_by: int | None = None
        self._place: tuple[str, str] | None = None

    def report(self, kind: str, process_id: str, *, ttl: float = REPORT_TTL) -> None:
        """
        Report this process to the others; the first time compare it with them.

        Args:
            kind: ``"web"`` or ``"worker"``.
            process_id: new for each process.
            ttl: seconds for which the report holds.
        """
        if self._pool is None:
            return
        with self._quietly():
            jobs, mine = self._pool.job_store(), self._record(kind, process_id)
            if self._compared_by != os.getpid():
                self._compare(jobs, mine)
                self._compared_by = os.getpid()
            jobs.report_process(mine, ttl=ttl)

    def compare(self) -> None:
        """
        Compare a process that serves or works by its children: it reports nothing.
        """
        if self._pool is not None:
            with self._quietly():
                self._compare(self._pool.job_store(), self._record("parent", ""))

    def leave(self, process_id: str) -> None:
        """
        Report that this process ends.
        """
        if self._pool is not None:
            with self._quietly():
                self._pool.job_store().remove_process(process_id)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - jobs and requests do not depend on it
            # A store that is out of reach is logged by the part that needs it.
            _log.debug("app %r could not look at its other processes: %s", self._app, error)

    def _record(self, kind: str, process_id: str) -> ProcessRecord:
        if self._place is None:
            self._place = place_of(self._op_store)
        shown, identity = self._place
        return ProcessRecord(
            id=process_id,
            kind=kind,
            host=socket.gethostname(),
            pid=os.getpid(),
            pipelines=self._pipelines,
            op_store=shown,
            op_store_id=identity,
        )

    def _compare(self, jobs: JobStore, mine: ProcessRecord) -> None:
        others = [
            (other, text)
            for other in jobs.processes()
            if (self._app, other.fingerprint) not in _logged
            and (text := differences(mine, other))
            and _may_be_alive(other)
        ]
        if not others:
            return
        _logged.update((self._app, other.fingerprint) for other, _ in others)
        other, text = others[0]
        more = f", and {len(others) - 1} more process(es) differ" if len(others) > 1 else ""
        _log.warning(
            "app %r also runs as %s process %d on host %r, and the two differ: %s%s; %s",
            *(self._app, other.kind, other.pid, other.host, text, more, _remedy(mine, other)),
            extra={"action": "app_differs", "app": self._app},
        )


def differences(mine: ProcessRecord, other: ProcessRecord) -> str:
    """
    Describe in what two processes of one app differ; empty: in nothing.
    """
    found = []
    if here := sorted(set(mine.pipelines) - set(other.pipelines)):
        found.append(f"pipelines only here: {_listed(here)}")
    if there := sorted(set(other.pipelines) - set(mine.pipelines)):
        found.append(f"pipelines only there: {_listed(there)}")
    if _op_stores_differ(mine, other):
        same = " (another file of that name)" if mine.op_store == other.op_store else ""
        found.append(f"op store here: {mine.op_store}, there: {other.op_store}{same}")
    return "; ".join(found)


def place_of(op_store: BaseOpStoreClient) -> tuple[str, str]:
    """
    Return the address of an op store without a password, and its identity.

    Two clients of one store have one identity, as far as an address can tell. A SQLite
    file is identified by its machine and inode: the same path in two containers may be
    two files. A client without an address gives two empty texts.

    Raises:
        StoreUnavailable: the file does not exist and cannot be made.
    """
    # a client of another class need not have one
    address: str = getattr(op_store, "shown_address", "")
    parts = urlsplit(address)
    if parts.scheme.startswith("postgresql"):
        return address, f"{parts.hostname}:{parts.port or 5432}{parts.path}"
    if not parts.scheme.startswith("sqlite"):
        return address, address
    path = Path(parts.path[1:])
    if not path.exists():
        # A file has an inode only once it exists.
        op_store.ping()
    facts = path.stat()
    return (
        f"{address} on host {socket.gethostname()!r}",
        f"{_machine()}:{facts.st_dev}:{facts.st_ino}",
    )


def _op_stores_differ(mine: ProcessRecord, other: ProcessRecord) -> bool:
    known = mine.op_store_id and other.op_store_id
    return bool(known) and mine.op_store_id != other.op_store_id


def _remedy(mine: ProcessRecord, other: ProcessRecord) -> str:
    remedies = []
    if mine.pipelines != other.pipelines:
        remedies.append(
            "while a release that adds or removes pipelines replaces another, this is normal"
        )
    if _op_stores_differ(mine, other):
        remedies.append(
            "if they are one app, point both at one op store (CHARIOTS_OP_STORE), unless both "
            "addresses lead to the same one"
        )
    remedies.append("if they are two apps, give each a name of its own (import_name)")
    return "; ".join(remedies)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + more


def _may_be_alive(other: ProcessRecord) -> bool:
    """
    Whether a process that has reported itself may still run: one that was killed is
    listed for a while.
    """
    if other.host != socket.gethostname():
        return True
    try:
        os.kill(other.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _machine() -> str:
    # The kernel's, so that containers of one machine have it in common.
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return socket.gethostname()
