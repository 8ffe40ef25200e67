"""
What the Flask applications of Chariots have in common: views that answer in
JSON, and problems for whatever goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Flask, Request, Response
from flask import request as flask_request
from werkzeug.exceptions import HTTPException

from chariots_core.server.answers import REQUEST_ID, JSONResponse, answer_error, id_of

View = Callable[..., Response]

_ENDPOINT = "chariots:"


def current_request() -> Request:
    """
    The request at hand itself: each look through Flask's proxy costs.
    """
    return flask_request._get_current_object()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001


class APIServer(Flask):
    """
    A `Flask` whose own routes answer every error with a problem.

    Args:
        import_name: the application's name.
        max_body_bytes: the largest request body that is read.
        **flask: further arguments of `Flask`.
    """

    def __init__(self, import_name: str, *, max_body_bytes: int, **flask: Any) -> None:
        super().__init__(import_name, **flask)
        self._max_body_bytes = max_body_bytes
        # One more than is taken: a body without a length is cut at this number
        # of bytes, and `read_body` has to see that it was longer.
        self.config["MAX_CONTENT_LENGTH"] = max_body_bytes + 1
        self.register_error_handler(HTTPException, self._answer_http_error)

    def process_response(self, response: Response) -> Response:
        if not isinstance(response, JSONResponse):
            response.headers[REQUEST_ID] = id_of(current_request().environ)
        return super().process_response(response)

    def _answer_http_error(self, error: HTTPException) -> Response | HTTPException:
        request = current_request()
        if request.url_rule is not None and not str(request.endpoint).startswith(_ENDPOINT):
            # a route of the user's own: Flask's way
            return error
        return self._answer(error, request)

    def _answer(self, error: Exception, request: Request) -> Response:
        return answer_error(error, request, max_body_bytes=self._max_body_bytes)

    def _route(self, method: str, rule: str, view: View) -> None:
        owner, name = type(view.__self__).__name__, view.__name__  # type: ignore[attr-defined]
        self._route_as(f"{owner}:{name}", method, rule, view)

    def _route_as(self, endpoint: str, method: str, rule: str, view: View) -> None:
        self.add_url_rule(
            rule,
            endpoint=f"{_ENDPOINT}{endpoint}",
            view_func=self._guarded(view),
            methods=[method],
        )

    def _guarded(self, view: View) -> View:
        @wraps(view)
        def guarded(**values: Any) -> Response:
            try:
                return view(**values)
            except Exception as error:  # noqa: BLE001 - the wire shows every one as a problem
                return self._answer(error, current_request())

        return guarded
