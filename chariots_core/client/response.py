"""
What a call of a pipeline gives back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import attrs

from chariots_core.jobs.record import JobError, Progress
from chariots_core.jobs.status import JobStatus
from chariots_core.versioning import Version


class NamedPipeline(Protocol):
    """
    What a client needs to know of a pipeline.
    """

    @property
    def name(self) -> str:
        """
        The name under which a server serves it.
        """

    @property
    def node_for_name(self) -> Mapping[str, Any]:
        """
        Its nodes, by name.
        """


@attrs.frozen(kw_only=True)
class PipelineResponse:
    """
    The answer to a call of a pipeline, or to a question about a job.

    Attributes:
        value: what the pipeline returned; ``None`` too while a job is not done.
        versions: each node of the given pipeline, with the version that ran; by
            the nodes' names where only the pipeline's name was given.
        job_id: the job that carries the call; ``None`` where it ran in the request.
        job_status: ``done`` for a call that ran in the request.
        reason: why the job has that status, as open text.
        error: what went wrong, where the job has failed or is tried again.
        progress: how far the job is, where its worker said so.
        use_worker: whether the server chose a worker; ``None`` where it did not say.
        decided_by: the level that decided: ``app``, ``pipeline``, ``request`` or
            ``default``.
        workers: how many workers were alive as a job was accepted.
        pipeline: what was called, as it was given.
    """

    value: Any = None
    versions: Mapping[Any, Version] = attrs.field(factory=dict)
    job_id: str | None = None
    job_status: JobStatus = JobStatus.done
    reason: str | None = None
    error: JobError | None = None
    progress: Progress | None = None
    use_worker: bool | None = None
    decided_by: str | None = None
    workers: int | None = None
    pipeline: NamedPipeline | str | None = attrs.field(default=None, repr=False, eq=False)
