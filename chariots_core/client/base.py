"""
What every client of a pipelines server offers, whatever carries its requests.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from chariots_core.client import calls
from chariots_core.client.answers import read_job, read_object, read_readiness, read_run
from chariots_core.client.response import NamedPipeline, PipelineResponse
from chariots_core.client.transport import Reply, Request
from chariots_core.client.waiting import OnProgress, Watch
from chariots_core.errors import JobNotFound
from chariots_core.versioning import Version


class AbstractPipelinesClient(ABC):
    """
    Calls pipelines of a server, and follows their jobs.

    Pipelines are given as objects or by name. What the server reports as an
    error is raised as the same class of `chariots_core.errors`; a request that
    it refuses, a fault of its own, and what goes wrong on the way there is a
    `ClientError`.
    """

    @abstractmethod
    def send(self, request: Request) -> Reply:
        """
        Carry one request to the server, with what retries are safe.
        """

    @abstractmethod
    def close(self) -> None:
        """
        Give back connections. Idempotent.
        """

    def call_pipeline(
        self,
        pipeline: NamedPipeline | str,
        pipeline_input: Any = None,
        use_worker: bool | None = None,
        *,
        timeout: float | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        idempotency_key: str | None = None,
    ) -> PipelineResponse:
        """
        Run a pipeline on the server, in the request or on a worker.

        Args:
            pipeline: what to run.
            pipeline_input: its input: anything that JSON carries.
            use_worker: the request's switch; unset leaves the choice to the
                pipeline and the app.
            timeout: seconds that one attempt on a worker may take.
            priority: on a worker, higher first.
            max_attempts: how many times a worker may start it in all.
            idempotency_key: a name of the caller's own for this call, of 1 to 255
                visible ASCII characters: two calls of one key make one job. A call that asks for a worker gets one
                by itself, so that it can be sent again when its answer is lost.
                Keys are for jobs: a call that the app or the pipeline keeps in
                the request has none. It runs once for each time that it is
                called, and its lost answer is an error.

        Returns:
            The result; or, from a worker, the job as it was written: ``queued``.

        Raises:
            PipelineNotFound: the server does not serve it.
            ExecutionError: an op rejected the input, in the request.
            VersionError: the loaded versions were never validated together.
            BackendNotConfigured: a worker is asked for, and the app has none.
            SubmissionUnknown: a job was written, and its queue did not answer in time.
            IdempotencyMismatch: the key belongs to a call that was another one.
            IdempotencyKeyInvalid: the key cannot be sent; nothing was.
            ServerUnreachable: no answer came; its ``sent`` says whether the call
                may have run all the same.
        """
        request = calls.run(
            pipeline,
            pipeline_input,
            use_worker=use_worker,
            timeout=timeout,
            priority=priority,
            max_attempts=max_attempts,
            idempotency_key=idempotency_key,
        )
        return read_run(self.send(request), pipeline)

    def fetch_job(
        self, job_id: str, pipeline: NamedPipeline | str | None = None
    ) -> PipelineResponse:
        """
        Look at a job. A failed one is an answer like any other, with its error.

        Args:
            job_id: the job.
            pipeline: what was called; the keys of ``versions`` are its nodes.

        Raises:
            JobNotFound: the server knows no such job.
        """
        return read_job(self.send(calls.job(job_id)), pipeline)

    def wait_for_job(
        self,
        job: PipelineResponse | str,
        timeout: float | None = None,
        *,
        pipeline: NamedPipeline | str | None = None,
        on_progress: OnProgress | None = None,
    ) -> PipelineResponse:
        """
        Look at a job until it is done.

        Args:
            job: its id, or an answer that names it. One that is done already is
                given back as it is.
            timeout: seconds to wait, for the server too; unset waits for ever.
                A last look, as they end, may take a quarter of a second more.
            pipeline: what was called; by default what *job* was made with.
            on_progress: called with each new `Progress` of the job.

        Raises:
            ExecutionError: the job has failed.
            WaitTimeout: it did not finish in time, or the server did not say so.
            ServerUnreachable: the server gave no answer, and there was time left.
        """
        if isinstance(job, PipelineResponse) and job.job_id is None:
            return job
        job_id, pipeline = job_and_pipeline(job, pipeline)
        watch = Watch(job_id, timeout, on_progress)
        while True:
            with watch.looking():
                reply = self.send(calls.job(job_id, timeout=watch.left))
                response = read_job(reply, pipeline)
            pause = watch.next_pause(response)
            if pause is None:
                return response
            time.sleep(pause)

    def list_jobs(
        self,
        *,
        status: str | None = None,
        pipeline: NamedPipeline | str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """
        The server's jobs as it describes them, newest first, fetched page by page.
        """
        cursor: str | None = None
        while True:
            request = calls.list_jobs(status=status, pipeline=pipeline, cursor=cursor)
            page = read_object(self.send(request))
            yield from page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def list_pipelines(self) -> list[str]:
        """
        The names of the pipelines that the server serves.
        """
        body = read_object(self.send(calls.list_pipelines()))
        return [item["name"] for item in body["items"]]

    def describe_pipeline(self, pipeline: NamedPipeline | str) -> dict[str, Any]:
        """
        What the server says of a pipeline: its nodes, links and loaded versions.
        """
        return read_object(self.send(calls.describe(pipeline)))

    def readiness(self) -> dict[str, Any]:
        """
        Whether the server can do its work (``status`` is ``"ok"``), what of it
        cannot (``reasons``), and how many ``workers`` are alive.

        Raises:
            ServerUnreachable: it does not even answer.
        """
        return read_readiness(self.send(calls.readiness()))

    def load_pipeline(self, pipeline: NamedPipeline | str) -> None:
        """
        Make the newest saved versions of a pipeline's ops the ones that serve,
        in every process of the server.

        Raises:
            VersionError: they were never validated together.
        """
        read_object(self.send(calls.load(pipeline)))

    def save_pipeline(self, pipeline: NamedPipeline | str) -> None:
        """
        Keep what a pipeline trained, as versions that belong together.
        """
        read_object(self.send(calls.save(pipeline)))

    def is_pipeline_loaded(self, pipeline: NamedPipeline | str) -> bool:
        """
        Whether the server can run a pipeline now.
        """
        return bool(self.describe_pipeline(pipeline)["loaded"])

    def pipeline_versions(self, pipeline: NamedPipeline | str) -> dict[str, Version]:
        """
        The version of each node of a pipeline, by the node's name.
        """
        return versions_of(self.describe_pipeline(pipeline))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def job_and_pipeline(
    job: PipelineResponse | str, pipeline: NamedPipeline | str | None
) -> tuple[str, NamedPipeline | str | None]:
    """
    The id of *job*, and what it called.

    Raises:
        JobNotFound: *job* is an answer without a job.
    """
    if isinstance(job, str):
        return job, pipeline
    if job.job_id is None:
        raise JobNotFound("the call ran in the request: there is no job to ask for")
    return job.job_id, job.pipeline if pipeline is None else pipeline


def versions_of(description: Mapping[str, Any]) -> dict[str, Version]:
    """
    The versions in a description of a pipeline, by the names of its nodes.
    """
    return {name: Version.parse(text) for name, text in description["versions"].items()}
