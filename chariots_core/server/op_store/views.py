"""
``/api/v1/op-store``: the contract of op stores, a route for each method.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from flask import Request, Response
from werkzeug.exceptions import RequestEntityTooLarge

from chariots_core.errors import ArtifactCorrupt, PayloadTooLarge
from chariots_core.op_store.blobs import digest_of
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store_http.calls import Call
from chariots_core.server.answers import answer
from chariots_core.server.api import current_request
from chariots_core.server.bodies import read_body, read_bytes
from chariots_core.server.probes import reason_of
from chariots_core.server.problems import (
    bytes_not_found,
    bytes_not_put,
    digest_mismatch,
    invalid,
)

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class CallView:
    """
    The view of one method of the contract.

    Args:
        store: what carries it out.
        call: the method, on the wire.
        limit: the largest body that is read.
    """

    def __init__(self, store: BaseOpStoreClient, call: Call, limit: int) -> None:
        self._store = store
        self._call = call
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(call.read.struct)
        self._limit = limit

    def carry_out(self) -> Response:
        """
        GET or POST: what the method gives, under ``result``.
        """
        arguments = self._arguments(current_request())
        try:
            result = getattr(self._store, self._call.name)(**arguments)
        except ArtifactCorrupt as error:
            # nothing is published without its bytes
            raise bytes_not_put(error.message) from error
        return answer({"result": self._call.answer.to_wire(result)})

    def _arguments(self, request: Request) -> dict[str, Any]:
        if self._call.verb == "GET":
            found = self._in_the_address(request)
        else:
            found = read_body(request, self._decoder, self._limit)
        try:
            return self._call.read.from_wire(found)
        except (ValueError, OverflowError) as error:
            raise invalid("", f"the request cannot be used: {error}") from error

    def _in_the_address(self, request: Request) -> Any:
        try:
            return msgspec.convert(request.args.to_dict(), self._call.read.struct, strict=False)
        except msgspec.ValidationError as error:
            raise invalid("", f"the query cannot be used: {error}") from error


class BlobViews:
    """
    The views of bytes, each under its SHA-256.

    Args:
        store: where they are kept.
        limit: the most bytes that are taken at once.
    """

    def __init__(self, store: BaseOpStoreClient, limit: int) -> None:
        self._store = store
        self._limit = limit

    def put(self, digest: str) -> Response:
        """
        PUT: keep bytes. Those that are there already are kept once.
        """
        if not _DIGEST.fullmatch(digest):
            raise invalid("", f"{digest[:80]!r} is no SHA-256: give 64 lower-case digits")
        request = current_request()
        with room_for(request, self._limit):
            data = read_bytes(request, self._limit)
        if (found := digest_of(data)) != digest:
            raise digest_mismatch(digest, found)
        return answer({"result": self._store.put_blob(data)})

    def get(self, digest: str) -> Response:
        """
        GET: the bytes of a digest.
        """
        if not _DIGEST.fullmatch(digest):
            raise bytes_not_found(f"{digest[:80]!r} is no SHA-256, so there are no bytes of it")
        try:
            data = self._store.get_blob(digest)
        except ArtifactCorrupt as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise bytes_not_found(error.message) from error
            raise
        response = Response(data, mimetype="application/octet-stream")
        in_base64 = base64.b64encode(bytes.fromhex(digest)).decode()
        response.headers["Repr-Digest"] = f"sha-256=:{in_base64}:"
        response.headers["ETag"] = f'"{digest}"'
        return response


@contextmanager
def room_for(request: Request, limit: int) -> Iterator[None]:
    """
    A block that reads a body which may be larger than others.

    Raises:
        PayloadTooLarge: it is over *limit* bytes.
    """
    # one more than is taken, as `APIServer` has it
    request.max_content_length = limit + 1
    try:
        yield
    except RequestEntityTooLarge as error:
        raise PayloadTooLarge(
            f"the body is over {limit} bytes, the most that this op store takes at once"
        ) from error


class OpStoreProbes:
    """
    The probes of an op store server.
    """

    def __init__(self, store: BaseOpStoreClient) -> None:
        self._store = store

    def live(self) -> Response:
        """
        GET: the process answers. It asks no database.
        """
        return answer({"status": "ok"})

    def ready(self) -> Response:
        """
        GET: the database answers.
        """
        reason = reason_of(self._store.ping)
        if reason is None:
            return answer({"status": "ok"})
        body = {"status": "unavailable", "reasons": {"op_store": reason}}
        return answer(body, 503, (("Retry-After", "5"),))
