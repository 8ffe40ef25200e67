"""
Answers of the server: JSON bodies, and problems.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from flask import Request, Response
from werkzeug.wsgi import ClosingIterator

from chariots_core.server.problems import Problem, problem_of, unforeseen
from chariots_core.strict_json import encode

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_log = logging.getLogger(__name__)

REQUEST_ID: Final = "X-Request-ID"

#: When the old routes were superseded: 2026-11-22, in the form of RFC 9745.
_SINCE: Final = "@1795305600"

_WITHOUT_BODY: Final = frozenset({204, 304})
_REQUEST_ID_KEY: Final = "chariots.request_id"
_SANE_ID: Final = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}", re.ASCII)


#: Header fields, as WSGI has them.
Fields = Sequence[tuple[str, str]]


class JSONResponse(Response):
    """
    A response that is one piece of JSON in memory.

    What all of them have in common is added as they are sent: each look into
    the headers of a response costs as much as a short run of a pipeline.

    Args:
        data: the JSON text.
        status: the status code.
        fields: further header fields.
        mimetype: what kind of JSON.
    """

    default_mimetype = "application/json"

    def __init__(
        self, data: bytes, status: int = 200, fields: Fields = (), mimetype: str | None = None
    ) -> None:
        super().__init__([data], status, mimetype=mimetype)
        self._fields = fields

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        headers = self.headers
        if environ["REQUEST_METHOD"] == "HEAD" or self.status_code in _WITHOUT_BODY:
            headers.extend([*self._fields, (REQUEST_ID, id_of(environ))])
            return super().__call__(environ, start_response)
        data = self.get_data()
        pairs = headers.to_wsgi_list()
        pairs += self._fields
        pairs.append((REQUEST_ID, id_of(environ)))
        if "content-length" not in headers:
            pairs.append(("Content-Length", str(len(data))))
        start_response(self.status, pairs)
        if self._on_close:
            return ClosingIterator([data], self.close)
        # A plain list spares the server the iteration.
        return [data]


def id_of(environ: WSGIEnvironment) -> str:
    """
    The id of a request: the client's own if it is sane, else a new one.
    """
    known: str | None = environ.get(_REQUEST_ID_KEY)
    if known is None:
        given = environ.get("HTTP_X_REQUEST_ID")
        known = given if given and _SANE_ID.fullmatch(given) else secrets.token_hex(8)
        environ[_REQUEST_ID_KEY] = known
    return known


def answer(body: Any, status: int = 200, fields: Fields = ()) -> JSONResponse:
    """
    *body* as JSON.
    """
    return JSONResponse(encode(body), status, fields)


@lru_cache(maxsize=1024)
def superseded(by: str) -> Fields:
    """
    The header fields of an old route's answer, whose place the route *by* has taken.
    """
    return (("Deprecation", _SINCE), ("Link", f'<{by}>; rel="successor-version"'))


def answer_problem(problem: Problem, request: Request) -> JSONResponse:
    """
    *problem* as the answer to *request*.
    """
    return JSONResponse(
        encode(problem.document(id_of(request.environ))),
        problem.status,
        tuple(problem.headers.items()),
        "application/problem+json",
    )


def answer_error(error: Exception, request: Request, *, max_body_bytes: int) -> JSONResponse:
    """
    The problem that *error* is; one that nobody foresaw is logged and not shown.
    """
    problem = problem_of(error, max_body_bytes=max_body_bytes)
    if problem is None:
        _log_fault("met a fault", error, request)
        problem = unforeseen(id_of(request.environ))
    elif problem.status == 500:
        # the client gets a sentence, the log has the whole story
        _log_fault("failed", error.__cause__ or error, request)
    return answer_problem(problem, request)


def _log_fault(what: str, error: BaseException, request: Request) -> None:
    instance = id_of(request.environ)
    _log.error(
        "request %s (%s %s) %s",
        instance,
        request.method,
        request.path,
        what,
        exc_info=error,
        extra={"action": "request_fault", "request_id": instance},
    )
