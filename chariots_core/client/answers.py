"""
Answers of a server, read: values where it did what was asked, typed errors where not.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn

from chariots_core import errors
from chariots_core.client.errors import RequestRejected, ServerFault, UnexpectedAnswer
from chariots_core.client.response import NamedPipeline, PipelineResponse
from chariots_core.client.transport import Reply
from chariots_core.jobs.record import JobError, Progress
from chariots_core.jobs.status import JobStatus
from chariots_core.strict_json import decode
from chariots_core.versioning import Version


def read_object(reply: Reply) -> dict[str, Any]:
    """
    The JSON object of a successful answer.

    Raises:
        ChariotsError: the answer is a problem, or not JSON at all.
    """
    body = _decoded(reply)
    if reply.status >= 400:
        raise_problem(reply, body)
    if not isinstance(body, dict):
        raise _unexpected(reply, "is not a JSON object")
    return body


def read_readiness(reply: Reply) -> dict[str, Any]:
    """
    The answer of the probe, which says 503 where something is out of reach.
    """
    body = _decoded(reply)
    if isinstance(body, dict) and isinstance(body.get("checks"), dict):
        return body
    if reply.status >= 400:
        raise_problem(reply, body)
    raise _unexpected(reply, "does not tell of readiness")


def read_run(reply: Reply, pipeline: NamedPipeline | str) -> PipelineResponse:
    """
    The answer to a call: its result, or the job that will have it.
    """
    body = read_object(reply)
    facts: dict[str, Any] = {
        "use_worker": body.get("use_worker"),
        "decided_by": body.get("decided_by"),
        "workers": body.get("workers"),
    }
    if body.get("job") is not None:
        return _of_job(reply, body["job"], pipeline, facts)
    return PipelineResponse(
        value=body.get("output"),
        versions=_versions(reply, body, pipeline),
        pipeline=pipeline,
        **facts,
    )


def read_job(reply: Reply, pipeline: NamedPipeline | str | None) -> PipelineResponse:
    """
    What is known of a job.
    """
    return _of_job(reply, read_object(reply), pipeline, {})


def _of_job(
    reply: Reply,
    job: Mapping[str, Any],
    pipeline: NamedPipeline | str | None,
    facts: Mapping[str, Any],
) -> PipelineResponse:
    try:
        return PipelineResponse(
            value=job.get("output"),
            versions=_versions(reply, job, pipeline),
            job_id=job["id"],
            job_status=JobStatus(job["status"]),
            reason=job.get("reason"),
            error=_job_error(job.get("error")),
            progress=_progress(job.get("progress")),
            pipeline=job.get("pipeline") if pipeline is None else pipeline,
            **facts,
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _unexpected(reply, f"is not a job ({type(error).__name__}: {error})") from error


def _versions(
    reply: Reply, body: Mapping[str, Any], pipeline: NamedPipeline | str | None
) -> dict[Any, Version]:
    try:
        named = {name: Version.parse(text) for name, text in body.get("versions", {}).items()}
    except (ValueError, TypeError, AttributeError, errors.VersionError) as error:
        raise _unexpected(reply, f"has a version that cannot be read ({error})") from error
    if pipeline is None or isinstance(pipeline, str):
        return dict(named)
    nodes = pipeline.node_for_name
    return {nodes[name]: version for name, version in named.items() if name in nodes}


def _job_error(body: Mapping[str, Any] | None) -> JobError | None:
    if body is None:
        return None
    return JobError(
        type=body.get("exception_type") or "Exception",
        message=body.get("detail") or "",
        node=body.get("node"),
        traceback=body.get("traceback"),
    )


def _progress(body: Mapping[str, Any] | None) -> Progress | None:
    if body is None:
        return None
    return Progress(
        done=body["done"],
        total=body.get("total"),
        node=body.get("node"),
        message=body.get("message"),
    )


def execution_error(response: PipelineResponse) -> errors.ExecutionError:
    """
    The error that tells how the job of *response* failed.
    """
    error = response.error
    what = f"{error.type}: {error.message}" if error else f"{response.reason or 'no reason given'}"
    where = f" in node {error.node!r}" if error and error.node else ""
    return errors.ExecutionError(
        f"job {response.job_id} failed{where} ({response.reason}): {what}",
        exception_type=error.type if error else None,
        node=error.node if error else None,
        traceback=error.traceback if error else None,
        job_id=response.job_id,
    )


# --- problems ----------------------------------------------------------------


def raise_problem(reply: Reply, body: Any) -> NoReturn:
    """
    Raise what the server met, as the same class.
    """
    if not isinstance(body, dict) or "status" not in body:
        raise _unexpected(reply, "is not a problem document")
    slug = _slug(body)
    detail = str(body.get("detail") or body.get("title") or f"status {reply.status}")
    error = _typed(str(body.get("code") or slug), slug, detail, body, reply)
    error.add_note(f"answered by {reply.url} (request {body.get('instance', 'without id')})")
    raise error


def problem_name(reply: Reply) -> str | None:
    """
    The short name of the problem that *reply* is, if it is one.
    """
    try:
        body = decode(reply.content)
    except errors.NotJSONError:
        return None
    return _slug(body) if isinstance(body, dict) else None


def _slug(body: Mapping[str, Any]) -> str:
    return str(body.get("type", "")).rpartition("/")[2]


def _typed(
    code: str, slug: str, detail: str, body: Mapping[str, Any], reply: Reply
) -> errors.ChariotsError:
    known = _CLASSES.get(code) or _CLASSES.get(slug)
    if known is not None:
        found = {name: body[name] for name in _facts_of(known) if body.get(name) is not None}
        # a proxy may use the same name, and give less
        with suppress(TypeError):
            return known(detail, **found)
    if reply.status >= 500:
        return ServerFault(detail, status=reply.status, slug=slug)
    return RequestRejected(detail, status=reply.status, slug=slug, errors=body.get("errors") or ())


def _facts_of(kind: type[errors.ChariotsError]) -> list[str]:
    """
    The members of a problem that an error of that class is made with.
    """
    parameters = inspect.signature(kind.__init__).parameters.values()
    return [each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]


def _may_come_from_a_server(kind: object) -> bool:
    return (
        isinstance(kind, type)
        and issubclass(kind, errors.ChariotsError)
        and not issubclass(kind, errors.ClientError)
        # its code says no more than that the server met a fault
        and kind is not errors.ChariotsError
    )


#: The errors of a server that a client raises as they are, by their names on the wire.
_CLASSES: Final[dict[str, type[errors.ChariotsError]]] = {
    kind.code: kind for kind in vars(errors).values() if _may_come_from_a_server(kind)
}


def _decoded(reply: Reply) -> Any:
    try:
        return decode(reply.content)
    except errors.NotJSONError as error:
        raise _unexpected(reply, "is not JSON") from error


def _unexpected(reply: Reply, what: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"the answer of {reply.url} (status {reply.status}) {what}: "
        "is this the address of a Chariots server?",
        url=reply.url,
        status=reply.status,
    )
