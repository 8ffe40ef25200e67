"""
Answers of the server: JSON bodies, and problems.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from flask import Request, Response

from chariots_core.server.problems import Problem, problem_of, unforeseen
from chariots_core.strict_json import encode

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_log = logging.getLogger(__name__)

REQUEST_ID: Final = "X-Request-ID"

_WITHOUT_BODY: Final = frozenset({204, 304})
_REQUEST_ID_KEY: Final = "chariots.request_id"
_SANE_ID: Final = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}", re.ASCII)


class JSONResponse(Response):
    """
    A response that is one piece of JSON in memory.
    """

    default_mimetype = "application/json"

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # A plain list spares the server the iteration, and the general way its
        # checks for streams, ranges and relative locations.
        bare = environ["REQUEST_METHOD"] == "HEAD" or self.status_code in _WITHOUT_BODY
        if bare or self._on_close or not self.is_sequence:
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return [self.get_data()]


def request_id(request: Request) -> str:
    """
    The id of a request: the client's own if it is sane, else a new one.
    """
    environ = request.environ
    known: str | None = environ.get(_REQUEST_ID_KEY)
    if known is None:
        given = environ.get("HTTP_X_REQUEST_ID")
        known = given if given and _SANE_ID.fullmatch(given) else secrets.token_hex(8)
        environ[_REQUEST_ID_KEY] = known
    return known


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """
    *body* as JSON.
    """
    return JSONResponse(encode(body), status, headers)


def answer_problem(problem: Problem, request: Request) -> JSONResponse:
    """
    *problem* as the answer to *request*.
    """
    return JSONResponse(
        encode(problem.document(request_id(request))),
        problem.status,
        problem.headers,
        content_type="application/problem+json",
    )


def answer_error(error: Exception, request: Request, *, max_body_bytes: int) -> JSONResponse:
    """
    The problem that *error* is; one that nobody foresaw is logged and not shown.
    """
    problem = problem_of(error, max_body_bytes=max_body_bytes)
    if problem is None:
        instance = request_id(request)
        _log.error(
            "request %s (%s %s) met a fault",
            instance,
            request.method,
            request.path,
            exc_info=error,
            extra={"action": "request_fault", "request_id": instance},
        )
        problem = unforeseen(instance)
    return answer_problem(problem, request)
