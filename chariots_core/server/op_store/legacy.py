"""
The op store's routes of 2019-2020: ``/v1``, all of them POST, bytes in base64.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, TypeVar

import msgspec
from flask import Response

from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store_http.calls import ROOT
from chariots_core.op_store_http.forms import VersionText
from chariots_core.server.answers import answer, superseded
from chariots_core.server.api import current_request
from chariots_core.server.bodies import read_body
from chariots_core.server.op_store.views import room_for
from chariots_core.server.problems import invalid
from chariots_core.versioning import Version

T = TypeVar("T", bound=msgspec.Struct)

#: A name that is given.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\x00]*\Z")]


class OfOp(msgspec.Struct):
    """
    The body of ``get_all_versions_of_op``.
    """

    desired_op_name: Name


class OfVersion(msgspec.Struct):
    """
    The body of ``get_op_bytes_for_version``.
    """

    desired_op_name: Name
    version: VersionText


class ToSave(msgspec.Struct):
    """
    The body of ``save_op_bytes``.
    """

    op_name: Name
    version: VersionText
    bytes: str


class OfLink(msgspec.Struct):
    """
    The body of ``get_validated_links``.
    """

    upstream_op_name: Name
    downstream_op_name: Name | None


class ToValidate(msgspec.Struct):
    """
    The body of ``register_valid_link``.
    """

    upstream_op_name: Name
    upstream_op_version: VersionText
    downstream_op_name: Name | None


class OfPipeline(msgspec.Struct):
    """
    The body of ``pipeline_exists``.
    """

    pipeline_name: Name


class ToRegister(msgspec.Struct):
    """
    The body of ``register_new_pipeline``.
    """

    pipeline_name: Name
    last_op_name: Name | None = None


_DECODERS: Final[Mapping[type[msgspec.Struct], msgspec.json.Decoder[Any]]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (OfOp, OfVersion, ToSave, OfLink, ToValidate, OfPipeline, ToRegister)
}


class LegacyOpStoreViews:
    """
    The old views of one op store.

    Args:
        store: the op store.
        limit: the largest body that is read.
        blob_limit: the most bytes that are taken at once.
    """

    def __init__(self, store: BaseOpStoreClient, limit: int, blob_limit: int) -> None:
        self._store = store
        self._limit = limit
        # four letters for three bytes, and the rest of the body
        self._saving_limit = 4 * (blob_limit // 3 + 1) + limit

    def get_all_versions_of_op(self) -> Response:
        """
        POST: every version of an op; ``null`` if there is none.
        """
        asked = self._read(OfOp)
        versions = self._store.get_all_versions_of_op(asked.desired_op_name)
        body = {"op_name": asked.desired_op_name, "all_versions": _texts(versions or ())}
        return _answered(body if versions else None, "savings")

    def get_validated_links(self) -> Response:
        """
        POST: the upstream versions that fit the newest downstream one; ``null`` if none does.
        """
        asked = self._read(OfLink)
        versions = self._store.get_validated_links(asked.downstream_op_name, asked.upstream_op_name)
        body = {
            "downstream_op_name": asked.downstream_op_name,
            "upstream_op_name": asked.upstream_op_name,
            "upstream_versions": _texts(versions or ()),
        }
        return _answered(body if versions else None, "links-between")

    def get_op_bytes_for_version(self) -> Response:
        """
        POST: the bytes that were saved last for a version.
        """
        asked = self._read(OfVersion)
        data = self._store.get_op_bytes_for_version(
            asked.desired_op_name, _version("version", asked.version)
        )
        body = {
            "op_name": asked.desired_op_name,
            "op_version": asked.version,
            "bytes": base64.b64encode(data).decode(),
        }
        return _answered(body, "blobs")

    def save_op_bytes(self) -> Response:
        """
        POST: save bytes as the newest version of an op.
        """
        with room_for(current_request(), self._saving_limit):
            body = read_body(current_request(), _DECODERS[ToSave], self._saving_limit)
        version = _version("version", body.version)
        try:
            data = base64.b64decode(body.bytes, validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid("/bytes", f"member '/bytes' is no base64: {error}") from error
        self._store.save_op_bytes(body.op_name, version, data)
        return _answered({}, "publish")

    def register_valid_link(self) -> Response:
        """
        POST: validate an upstream version with the newest downstream one.
        """
        asked = self._read(ToValidate)
        version = _version("upstream_op_version", asked.upstream_op_version)
        self._store.register_valid_link(asked.downstream_op_name, asked.upstream_op_name, version)
        return _answered({}, "validate")

    def pipeline_exists(self) -> Response:
        """
        POST: whether a pipeline is registered.
        """
        exists = self._store.pipeline_exists(self._read(OfPipeline).pipeline_name)
        return _answered({"exists": exists}, "known-pipelines")

    def register_new_pipeline(self) -> Response:
        """
        POST: note a pipeline's name.
        """
        asked = self._read(ToRegister)
        self._store.register_new_pipeline(asked.pipeline_name, asked.last_op_name)
        return _answered({}, "register-name")

    def _read(self, kind: type[T]) -> T:
        body: T = read_body(current_request(), _DECODERS[kind], self._limit)
        return body


def _answered(body: Any, successor: str) -> Response:
    return answer(body, 200, superseded(f"{ROOT}/{successor}"))


def _texts(versions: Iterable[Version]) -> list[str]:
    """
    The oldest first.
    """
    return sorted(map(str, versions), key=lambda text: (text.partition("_")[2], text))


def _version(member: str, text: str) -> Version:
    try:
        return Version.parse(text)
    except (ValueError, OverflowError) as error:
        raise invalid(f"/{member}", f"member '/{member}' is no version: {error}") from error
