"""
Waiting for a job: when to look again, and when to give up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs

from chariots_core.client.answers import execution_error
from chariots_core.client.errors import ServerUnreachable
from chariots_core.client.response import PipelineResponse
from chariots_core.errors import BackendUnavailable, WaitTimeout
from chariots_core.jobs.record import Progress
from chariots_core.jobs.status import JobStatus

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 1.0
_GROWTH: Final = 1.5

OnProgress = Callable[[Progress], Any]


@attrs.define
class Watch:
    """
    One wait for one job: fed with each look at it, says how long to pause.

    The pauses grow from 2 ms to a second, so that a quick job is seen at once
    and a long one costs little.

    Attributes:
        job_id: the job.
        timeout: seconds after which it gives up; ``None``: never.
        on_progress: called with each progress that differs from the last.
    """

    job_id: str
    timeout: float | None
    on_progress: OnProgress | None
    _began: float = attrs.field(factory=time.monotonic, init=False)
    _pause: float = attrs.field(default=_FIRST_PAUSE, init=False)
    _seen: Progress | None = attrs.field(default=None, init=False)

    @property
    def left(self) -> float | None:
        """
        Seconds until the time is over; ``None``: it never is.
        """
        if self.timeout is None:
            return None
        return max(self.timeout - (time.monotonic() - self._began), 0.0)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """
        Around a look: what keeps it from an answer is raised as it is, while
        there is time.

        Raises:
            WaitTimeout: no answer, and the time is over.
        """
        try:
            yield
        except (ServerUnreachable, BackendUnavailable) as error:
            if self.left == 0:
                raise self._over(f"the server did not say how it is ({error})") from error
            raise

    def next_pause(self, response: PipelineResponse) -> float | None:
        """
        Seconds to wait before the next look, or ``None`` where the job is done.

        Raises:
            ExecutionError: the job has failed.
            WaitTimeout: the time is over; the job goes on.
        """
        self._tell(response.progress)
        if response.job_status is JobStatus.done:
            return None
        if response.job_status is JobStatus.failed:
            raise execution_error(response)
        return self._bounded_pause(response)

    def _tell(self, progress: Progress | None) -> None:
        if self.on_progress is None or progress is None or progress == self._seen:
            return
        self._seen = progress
        self.on_progress(progress)

    def _bounded_pause(self, response: PipelineResponse) -> float:
        pause, left = self._pause, self.left
        self._pause = min(pause * _GROWTH, _LONGEST_PAUSE)
        if left is None:
            return pause
        if left == 0:
            raise self._over(f"it is {response.job_status.value}, and goes on")
        return min(pause, left)

    def _over(self, how: str) -> WaitTimeout:
        return WaitTimeout(
            f"job {self.job_id} was not seen to end within {self.timeout:g} s; {how}: "
            "wait longer, or ask for it later with fetch_job",
            job_id=self.job_id,
        )
