"""
The client of a pipelines server, for coroutines.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

from chariots_core.client import calls
from chariots_core.client.answers import read_job, read_object, read_readiness, read_run
from chariots_core.client.base import job_and_pipeline, versions_of
from chariots_core.client.errors import ServerUnreachable
from chariots_core.client.response import NamedPipeline, PipelineResponse
from chariots_core.client.retries import Outcome, RetryPolicy, Sending
from chariots_core.client.transport import (
    AsyncHTTPTransport,
    AsyncTransport,
    Reply,
    Request,
    Timeouts,
)
from chariots_core.client.waiting import OnProgress, Watch
from chariots_core.versioning import Version


class AsyncPipelinesClient:
    """
    As `PipelinesClient`, with coroutines for methods. It belongs to one event loop.
    """

    def __init__(
        self,
        backend_url: str = "http://127.0.0.1:5000",
        *,
        timeouts: Timeouts | None = None,
        retries: RetryPolicy | None = None,
        headers: Mapping[str, str] | None = None,
        transport: AsyncTransport | None = None,
    ) -> None:
        self.backend_url = backend_url
        self._retries = retries or RetryPolicy()
        self._transport = transport or AsyncHTTPTransport(
            backend_url, timeouts=timeouts, headers=headers
        )

    async def send(self, request: Request) -> Reply:
        """
        Carry one request to the server, with what retries are safe.
        """
        sending = Sending(request, self._retries)
        while True:
            outcome = await self._try(sending.request)
            pause = sending.pause_after(outcome)
            if pause is None:
                return sending.result(outcome)
            await asyncio.sleep(pause)

    async def _try(self, request: Request) -> Outcome:
        try:
            return await self._transport.send(request)
        except ServerUnreachable as error:
            return error

    async def call_pipeline(
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
        As `PipelinesClient.call_pipeline`.
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
        return read_run(await self.send(request), pipeline)

    async def fetch_job(
        self, job_id: str, pipeline: NamedPipeline | str | None = None
    ) -> PipelineResponse:
        """
        As `PipelinesClient.fetch_job`.
        """
        return read_job(await self.send(calls.job(job_id)), pipeline)

    async def wait_for_job(
        self,
        job: PipelineResponse | str,
        timeout: float | None = None,
        *,
        pipeline: NamedPipeline | str | None = None,
        on_progress: OnProgress | None = None,
    ) -> PipelineResponse:
        """
        As `PipelinesClient.wait_for_job`.
        """
        if isinstance(job, PipelineResponse) and job.job_id is None:
            return job
        job_id, pipeline = job_and_pipeline(job, pipeline)
        watch = Watch(job_id, timeout, on_progress)
        while True:
            with watch.looking():
                reply = await self.send(calls.job(job_id, timeout=watch.left))
                response = read_job(reply, pipeline)
            pause = watch.next_pause(response)
            if pause is None:
                return response
            await asyncio.sleep(pause)

    async def list_jobs(
        self,
        *,
        status: str | None = None,
        pipeline: NamedPipeline | str | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """
        As `PipelinesClient.list_jobs`.
        """
        cursor: str | None = None
        while True:
            request = calls.list_jobs(status=status, pipeline=pipeline, cursor=cursor)
            page = read_object(await self.send(request))
            for item in page["items"]:
                yield item
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    async def list_pipelines(self) -> list[str]:
        """
        As `PipelinesClient.list_pipelines`.
        """
        body = read_object(await self.send(calls.list_pipelines()))
        return [item["name"] for item in body["items"]]

    async def describe_pipeline(self, pipeline: NamedPipeline | str) -> dict[str, Any]:
        """
        As `PipelinesClient.describe_pipeline`.
        """
        return read_object(await self.send(calls.describe(pipeline)))

    async def readiness(self) -> dict[str, Any]:
        """
        As `PipelinesClient.readiness`.
        """
        return read_readiness(await self.send(calls.readiness()))

    async def load_pipeline(self, pipeline: NamedPipeline | str) -> None:
        """
        As `PipelinesClient.load_pipeline`.
        """
        read_object(await self.send(calls.load(pipeline)))

    async def save_pipeline(self, pipeline: NamedPipeline | str) -> None:
        """
        As `PipelinesClient.save_pipeline`.
        """
        read_object(await self.send(calls.save(pipeline)))

    async def is_pipeline_loaded(self, pipeline: NamedPipeline | str) -> bool:
        """
        As `PipelinesClient.is_pipeline_loaded`.
        """
        return bool((await self.describe_pipeline(pipeline))["loaded"])

    async def pipeline_versions(self, pipeline: NamedPipeline | str) -> dict[str, Version]:
        """
        As `PipelinesClient.pipeline_versions`.
        """
        return versions_of(await self.describe_pipeline(pipeline))

    async def close(self) -> None:
        """
        Give back connections. Idempotent.
        """
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
