"""
The calls of a client, as requests: what goes over the wire, and nothing about how.
"""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import quote, urlencode

from chariots_core.client.response import NamedPipeline
from chariots_core.client.transport import Request
from chariots_core.errors import PipelineNotFound
from chariots_core.jobs.record import check_idempotency_key, check_job_id
from chariots_core.strict_json import encode


def name_of(pipeline: NamedPipeline | str) -> str:
    """
    The name under which a server serves *pipeline*.
    """
    return pipeline if isinstance(pipeline, str) else pipeline.name


def run(
    pipeline: NamedPipeline | str,
    pipeline_input: Any = None,
    *,
    use_worker: bool | None = None,
    timeout: float | None = None,
    priority: int | None = None,
    max_attempts: int | None = None,
    idempotency_key: str | None = None,
) -> Request:
    """
    Run a pipeline. Repeatable where a worker may take it under a key: a second
    request finds the first one's job. Where the app or the pipeline keeps the
    call in the request, the server refuses to run the second one.

    Raises:
        NotJSONError: JSON cannot carry the input.
        IdempotencyKeyInvalid: a header cannot carry the key.
    """
    options = {
        "input": pipeline_input,
        "use_worker": use_worker,
        "timeout": timeout,
        "priority": priority,
        "max_attempts": max_attempts,
    }
    key = secrets.token_hex(16) if use_worker and idempotency_key is None else idempotency_key
    return Request(
        method="POST",
        path=_pipeline_path(pipeline, "/runs"),
        body=encode({name: value for name, value in options.items() if value is not None}),
        headers={} if key is None else {"Idempotency-Key": check_idempotency_key(key)},
        repeatable=key is not None and use_worker is not False,
    )


def load(pipeline: NamedPipeline | str) -> Request:
    """
    Make the newest validated versions of a pipeline's ops the ones that serve.
    """
    return Request(method="POST", path=_pipeline_path(pipeline, "/load"), repeatable=True)


def save(pipeline: NamedPipeline | str) -> Request:
    """
    Keep what a pipeline trained, and validate that its ops belong together.
    """
    return Request(method="POST", path=_pipeline_path(pipeline, "/save"), repeatable=True)


def describe(pipeline: NamedPipeline | str) -> Request:
    """
    Ask what a pipeline is made of and which versions of it serve.
    """
    return Request(method="GET", path=_pipeline_path(pipeline), repeatable=True)


def list_pipelines() -> Request:
    """
    Ask which pipelines the server serves.
    """
    return Request(method="GET", path="/api/v1/pipelines", repeatable=True)


def readiness() -> Request:
    """
    Ask whether the server can do its work. Not repeated: the answer is for now.
    """
    return Request(method="GET", path="/readyz?verbose=1")


def job(job_id: str, *, timeout: float | None = None) -> Request:
    """
    Ask for a job; within *timeout* seconds, repeats included.

    Raises:
        JobNotFound: *job_id* has not the form of a job's id.
    """
    return Request(
        method="GET",
        path=f"/api/v1/jobs/{check_job_id(job_id)}",
        repeatable=True,
        timeout=timeout,
    )


def list_jobs(
    *,
    status: str | None = None,
    pipeline: NamedPipeline | str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Request:
    """
    Ask for a page of jobs, newest first.
    """
    query = {
        "status": status,
        "pipeline": None if pipeline is None else name_of(pipeline),
        "limit": limit,
        "cursor": cursor,
    }
    text = urlencode({name: value for name, value in query.items() if value is not None})
    return Request(method="GET", path=f"/api/v1/jobs?{text}", repeatable=True)


def _pipeline_path(pipeline: NamedPipeline | str, rest: str = "") -> str:
    name = name_of(pipeline)
    if not name or name in (".", "..") or "/" in name:
        raise PipelineNotFound(f"no server can serve a pipeline named {name!r}: choose another")
    return f"/api/v1/pipelines/{quote(name, safe='')}{rest}"
