"""
What a pool is asked to hand over: names and numbers, never objects or inputs.
"""

from __future__ import annotations

import attrs

from chariots_core.jobs.record import JobRecord


@attrs.frozen(kw_only=True)
class SubmitRequest:
    """
    One recorded job, to be handed to a queue. Its message is the job id and no more.

    A queue that wants names for its messages, or drops a message whose name it
    has seen, takes `message_id`: the job's id alone comes again with each
    retry, perhaps before the message of the attempt before is acknowledged.

    Attributes:
        job_id: the job.
        app: the app whose workers may run it; part of a queue's name, so that
            two apps on one broker never meet.
        pipeline: the pipeline's name, for logs and routing.
        backend: the backend's name.
        queue: the queue's name within the app.
        priority: higher first, where the backend declares priorities.
        generation: which sending of this job it is; 1 is the first.
    """

    job_id: str
    app: str
    pipeline: str
    backend: str
    queue: str = "default"
    priority: int = 0
    generation: int = 1

    @property
    def message_id(self) -> str:
        """
        The name of this sending: ``<job id>-<generation>``, of letters, digits,
        ``_`` and ``-``; the job's id is what is before the last ``-``.
        """
        return f"{self.job_id}-{self.generation}"

    @classmethod
    def of(cls, record: JobRecord) -> SubmitRequest:
        """
        The request that hands *record* over.
        """
        return cls(
            job_id=record.id,
            app=record.app,
            pipeline=record.pipeline,
            backend=record.backend,
            queue=record.queue,
            priority=record.priority,
            generation=record.generation,
        )
