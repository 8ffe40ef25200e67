"""
Bodies of requests, read and checked.
"""

from __future__ import annotations

import io
import re
from typing import Annotated, Any, Final, TypeVar

import msgspec
from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from chariots_core.errors import NotJSONError
from chariots_core.server.problems import invalid, malformed, unsupported_media_type
from chariots_core.strict_json import decode

_YEAR: Final = 366 * 24 * 3600

Seconds = Annotated[float, msgspec.Meta(gt=0, le=_YEAR)]
Priority = Annotated[int, msgspec.Meta(ge=-1000, le=1000)]
Attempts = Annotated[int, msgspec.Meta(ge=1, le=1000)]

T = TypeVar("T")


class LegacyCall(msgspec.Struct):
    """
    The body of ``POST /pipelines/{p}/main``.
    """

    pipeline_input: msgspec.Raw = msgspec.Raw(b"null")
    use_worker: bool | None = None


class LegacyFetch(msgspec.Struct):
    """
    The body of ``POST /jobs/fetch/``.
    """

    job_id: Any


class RunBody(msgspec.Struct, forbid_unknown_fields=True):
    """
    The body of ``POST /api/v1/pipelines/{p}/runs``.
    """

    input: msgspec.Raw = msgspec.Raw(b"null")
    use_worker: bool | None = None
    timeout: Seconds | None = None
    queue_timeout: Seconds | None = None
    priority: Priority | None = None
    max_attempts: Attempts | None = None


class NoOptions(msgspec.Struct, forbid_unknown_fields=True):
    """
    A body that has no members yet.
    """


LEGACY_CALL: Final = msgspec.json.Decoder(LegacyCall)
LEGACY_FETCH: Final = msgspec.json.Decoder(LegacyFetch)
RUN: Final = msgspec.json.Decoder(RunBody)
NO_OPTIONS: Final = msgspec.json.Decoder(NoOptions)


def read_body(request: Request, decoder: msgspec.json.Decoder[T], limit: int) -> T:
    """
    The body of *request*; none at all is read as an empty object.

    Args:
        request: the request.
        decoder: describes what is expected.
        limit: the most bytes that are read.

    Raises:
        RequestProblem: it is not JSON, or not what *decoder* describes.
        RequestEntityTooLarge: it is over the limit.
    """
    data = read_bytes(request, limit)
    if not data:
        data = b"{}"
    elif request.environ.get("CONTENT_TYPE") != "application/json":
        _check_media_type(request)
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        # what is wrong with a member matters only where the whole is JSON
        read_value(data)
        raise _as_invalid(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(f"the body is not JSON: {error}") from error


def read_bytes(request: Request, limit: int) -> bytes:
    """
    The body of *request* as it came.

    Raises:
        RequestEntityTooLarge: it is over *limit* bytes.
    """
    environ = request.environ
    announced = environ.get("CONTENT_LENGTH") or ""
    if not announced.isdecimal() or "stream" in vars(request):
        # without a length, or somebody has read it before
        data = request.get_data()
        if len(data) > limit:
            raise RequestEntityTooLarge
        return data
    length = int(announced)
    if length > limit:
        raise RequestEntityTooLarge
    data = environ["wsgi.input"].read(length)
    if len(data) < length:
        raise ClientDisconnected
    # for whoever wants to read it once more
    environ["wsgi.input"] = io.BytesIO(data)
    return bytes(data)


def read_value(text: msgspec.Raw | bytes) -> Any:
    """
    The value of a member that may be any JSON.

    Raises:
        RequestProblem: it is not JSON after all.
    """
    try:
        return decode(bytes(text))
    except NotJSONError as error:
        raise malformed(error.message) from error


def _check_media_type(request: Request) -> None:
    kind = request.mimetype
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise unsupported_media_type(kind)


_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"missing required field `(?P<name>.*)`", re.DOTALL)


def _as_invalid(error: msgspec.ValidationError) -> Exception:
    match = _AT.match(str(error))
    what, path = (match["what"], match["path"] or "") if match else (str(error), "")
    pointer = re.sub(r"\[(\d+)\]", r".\1", path).replace("/", "~1").replace(".", "/")
    for pattern, code in ((_UNKNOWN, "unknown-member"), (_MISSING, "missing-member")):
        if found := pattern.search(what):
            name = found["name"].replace("~", "~0").replace("/", "~1")
            return invalid(f"{pointer}/{name}", f"the body {_sentence(what)}", code)
    where = f"member {pointer!r} of the body" if pointer else "the body"
    return invalid(pointer, f"{where} cannot be used: {_sentence(what)}")


def _sentence(text: str) -> str:
    text = text.replace("Object contains", "has the").replace("Object missing", "misses the")
    return text[:1].lower() + text[1:]
