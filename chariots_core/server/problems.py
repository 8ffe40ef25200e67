"""
Problems: how an error looks on the wire, by RFC 9457.

One table says which status and which name each error has. The pages of the
documentation under `PROBLEMS` tell what to do about each name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import attrs
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from chariots_core import errors

#: Where the problems are explained; a problem's ``type`` is this and its name.
PROBLEMS: Final = "https://chariots.readthedocs.io/problems/"


@attrs.frozen(kw_only=True)
class Problem:
    """
    What went wrong with a request.

    Attributes:
        slug: its short, stable name.
        title: what kind of problem that is, in a few words.
        status: the HTTP status.
        detail: what happened this time, and what to do.
        facts: further members, by name.
        headers: header fields that go with it.
    """

    slug: str
    title: str
    status: int
    detail: str
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def document(self, instance: str) -> dict[str, Any]:
        """
        Its body; *instance* is the id of the request that met it.
        """
        return {
            "type": PROBLEMS + self.slug,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            **{name: fact for name, fact in self.facts.items() if fact not in (None, ())},
        }


class RequestProblem(Exception):
    """
    A request that cannot be carried out as it is; nothing was done.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def malformed(detail: str) -> RequestProblem:
    """
    A body that is not JSON.
    """
    return RequestProblem(
        Problem(slug="malformed-json", title="not JSON", status=400, detail=detail)
    )


def invalid(pointer: str, detail: str, code: str = "invalid") -> RequestProblem:
    """
    A body or a query with a member that is not as it should be.

    Args:
        pointer: which member, as a JSON pointer.
        detail: what is wrong with it.
        code: the same for programs.
    """
    return RequestProblem(
        Problem(
            slug="validation-error",
            title="the request has a member that cannot be used",
            status=422,
            detail=detail,
            facts={"errors": [{"pointer": pointer, "detail": detail, "code": code}]},
        )
    )


def not_repeatable(detail: str) -> RequestProblem:
    """
    A repeat of a request that would be carried out twice.
    """
    return RequestProblem(
        Problem(
            slug="not-repeatable",
            title="a repeat of a request that cannot be repeated",
            status=409,
            detail=detail,
        )
    )


def unsupported_media_type(found: str) -> RequestProblem:
    """
    A body that does not say that it is JSON.
    """
    return RequestProblem(
        Problem(
            slug="unsupported-media-type",
            title="not a JSON body",
            status=415,
            detail=f"the body is {found!r}: send it as 'application/json'",
        )
    )


def digest_mismatch(asked: str, found: str) -> RequestProblem:
    """
    Bytes that are not the ones of their address.
    """
    return RequestProblem(
        Problem(
            slug="digest-mismatch",
            title="other bytes than announced",
            status=422,
            detail=f"the body has the SHA-256 {found}, and not {asked}: it was changed on the way",
            facts={"code": errors.ArtifactCorrupt.code},
        )
    )


def bytes_not_found(detail: str) -> RequestProblem:
    """
    Bytes that are not there, asked for by their digest.
    """
    return RequestProblem(
        Problem(
            slug="bytes-not-found",
            title="no such bytes",
            status=404,
            detail=detail,
            facts={"code": errors.ArtifactCorrupt.code},
        )
    )


def bytes_not_put(detail: str) -> RequestProblem:
    """
    A manifest that names bytes which nobody has put.
    """
    return RequestProblem(
        Problem(
            slug="bytes-not-put",
            title="published before its bytes were put",
            status=409,
            detail=detail,
            facts={"code": errors.ArtifactCorrupt.code},
        )
    )


def problem_of(error: BaseException, *, max_body_bytes: int = 0) -> Problem | None:
    """
    The problem that *error* is to a client; ``None`` for one that nobody foresaw.
    """
    if isinstance(error, RequestProblem):
        return error.problem
    if isinstance(error, HTTPException):
        return _of_http(error, max_body_bytes)
    for kind, slug, title, status in _TABLE:
        if isinstance(error, kind):
            return Problem(
                slug=slug,
                title=title,
                status=status,
                detail=error.message,
                facts=_facts(error, slug),
                headers=_headers(error),
            )
    return None


def unforeseen(instance: str) -> Problem:
    """
    The problem that says no more than that there is one: what is in the error
    of a fault may be secret.
    """
    return Problem(
        slug="internal-error",
        title="the server met a fault of its own",
        status=500,
        detail=f"the server's log has the fault, under request {instance}",
    )


#: From the most special to the most general: the first one that fits is taken.
_TABLE: Final[tuple[tuple[type[errors.ChariotsError], str, str, int], ...]] = (
    (errors.PipelineNotFound, "pipeline-not-found", "no such pipeline", 404),
    (errors.JobNotFound, "job-not-found", "no such job", 404),
    (errors.OpVersionNotFound, "op-not-found", "no such version of an op", 404),
    (errors.BackendNotConfigured, "backend-not-configured", "the app has no workers", 400),
    (errors.NotJSONError, "malformed-json", "not JSON", 400),
    (errors.NeverTrained, "never-trained", "an op was never trained with this code", 409),
    (errors.ModelOutdated, "model-outdated", "a model made from another declaration", 409),
    (
        errors.VersionError,
        "version-conflict",
        "versions that were never validated together",
        409,
    ),
    (errors.PayloadTooLarge, "payload-too-large", "over the size limit", 413),
    (
        errors.IdempotencyMismatch,
        "idempotency-mismatch",
        "one idempotency key, two different requests",
        422,
    ),
    (
        errors.UnsupportedCapability,
        "capability-unsupported",
        "the backend does not do that",
        422,
    ),
    (errors.ExecutionError, "execution-failed", "the run failed", 500),
    (errors.PipelineError, "pipeline-error", "the pipeline cannot be run like that", 422),
    (errors.TrainingInProgress, "training-in-progress", "the op is being trained", 409),
    (errors.OpNameConflict, "op-name-conflict", "one op name, two classes", 500),
    (errors.OpStoreError, "op-store-error", "the op store cannot give what is needed", 500),
    (errors.BackendError, "backend-error", "the worker backend cannot be used", 500),
    (errors.BackendUnavailable, "backend-unavailable", "out of reach for the moment", 503),
    (errors.WaitTimeout, "timeout", "not finished in time", 504),
)

_ATTRIBUTES: Final = (
    "blockers",
    "commands",
    "job_id",
    "node",
    "exception_type",
    "traceback",
    "backend",
    "capability",
    "contract_version",
    "retry_after",
    "path",
    "reason",
    "problems",
)


def _facts(error: errors.ChariotsError, slug: str) -> dict[str, Any]:
    facts = {name: getattr(error, name, None) for name in _ATTRIBUTES}
    return {"code": error.code if error.code != slug else None, **facts}


def _headers(error: errors.ChariotsError) -> dict[str, str]:
    if isinstance(error, errors.BackendUnavailable):
        return {"Retry-After": str(math.ceil(error.retry_after))}
    return {}


def _of_http(error: HTTPException, max_body_bytes: int) -> Problem:
    status = error.code or 500
    title = error.name.lower()
    slug, detail = title.replace(" ", "-"), f"the request cannot be answered: {title}"
    headers: dict[str, str] = {}
    if isinstance(error, RequestEntityTooLarge):
        slug, title = "payload-too-large", "over the size limit"
        detail = f"the body is over {max_body_bytes} bytes, the most that this server reads"
    elif isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        detail = f"this address answers to {allowed or 'other methods'} only"
        headers = {"Allow": allowed}
    elif status == 404:
        detail = "there is nothing at this address; GET /api/v1/pipelines lists the pipelines"
    return Problem(slug=slug, title=title, status=status, detail=detail, headers=headers)
