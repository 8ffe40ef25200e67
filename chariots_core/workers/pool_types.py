"""
What a pool is told and asked: its app, the options of a job, the address of its store.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypedDict

from chariots_core.jobs.record import JobRecord
from chariots_core.workers.contracts import RunnerApp
from chariots_core.workers.requests import SubmitRequest

if TYPE_CHECKING:
    from chariots_core.workers.pool import BaseWorkerPool

#: Where jobs are kept unless somebody says otherwise.
DEFAULT_STORE_URL: Final = "sqlite:///.chariots/jobs.db"


class Hooks(Protocol):
    """
    The hooks through which a pool hands over and looks up.
    """

    @property
    def watch_hand_overs(self) -> bool:
        """
        Whether a plugin is to be asked, or told, of each hand-over.
        """

    def execute_pipeline(self, pool: BaseWorkerPool, request: SubmitRequest) -> None:
        """
        Hand one recorded job over.
        """

    def lookup_job(self, pool: BaseWorkerPool, job_id: str) -> JobRecord:
        """
        Answer for one job.
        """


class PoolApp(RunnerApp, Protocol):
    """
    The app, as its pool sees it: what a job runner needs, and the hooks.
    """

    @property
    def plugins(self) -> Hooks:
        """
        The app's plugins.
        """


class Neighbourhood(Protocol):
    """
    The processes of one app, to which a worker reports itself; none of it raises.
    """

    def report(self, kind: str, process_id: str) -> None:
        """
        Report this process; the first time compare it with the others.
        """

    def leave(self, process_id: str) -> None:
        """
        Say that this process ends.
        """


class JobOptions(TypedDict, total=False):
    """
    What a caller may ask of one job beside its input; see `NewJob`.
    """

    queue: str
    priority: int
    max_attempts: int
    retry_delay: float
    timeout: float | None
    queue_timeout: float | None
    delay: float
    result_ttl: float


def absolute_url(url: str) -> str:
    """
    *url*, with the path of a SQLite file made absolute, so that it means the
    same file wherever a process of the app stands.
    """
    prefix = "sqlite:///"
    path = url.removeprefix(prefix)
    if not url.startswith(prefix) or not path or path.startswith((":memory:", "file:", "/")):
        return url
    return f"{prefix}{Path(path).absolute()}"
