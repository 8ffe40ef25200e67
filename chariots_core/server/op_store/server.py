"""
The op store server: a Flask application in front of an op store.
"""

from __future__ import annotations

from typing import Any, Final

import attrs
from flask import Request, Response
from werkzeug.exceptions import NotFound

from chariots_core.errors import ConfigurationError
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.savers import BaseSaver
from chariots_core.op_store_http.calls import BLOBS, CALLS, ROOT
from chariots_core.server.answers import answer_problem
from chariots_core.server.api import APIServer
from chariots_core.server.op_store.legacy import LegacyOpStoreViews
from chariots_core.server.op_store.views import BlobViews, CallView, OpStoreProbes
from chariots_core.server.problems import problem_of

MEBIBYTE: Final = 1024 * 1024


class OpStoreServer(APIServer):
    """
    Serves an op store over HTTP, to `OpStoreClient`: a WSGI application.

    Making it opens nothing. It asks nobody who they are: whoever reaches it may
    read and change everything, so let only the app's own processes reach it.

    >>> from chariots.op_store import OpStoreServer
    >>> from chariots.op_store.savers import FileSaver
    >>> server = OpStoreServer(url=f"sqlite:///{tmp_path}/ops.db", saver=FileSaver(tmp_path))
    >>> server.test_client().get("/api/v1/op-store/revision").get_json()
    {'result': 0}
    >>> server.close()

    Args:
        store: the op store; or it is made of the next two:
        url: the address of a database.
        saver: the place for bytes.
        import_name: the application's name.
        max_body_bytes: the largest JSON body that is read.
        max_blob_bytes: the most bytes of one state of an op. They are held in
            memory, while they come and while they go.
        legacy_routes: whether the routes of 2019-2020 are there.
        **flask: further arguments of `Flask`.

    Raises:
        ConfigurationError: there is not one store, or its address cannot work.
    """

    store: BaseOpStoreClient

    def __init__(
        self,
        store: BaseOpStoreClient | None = None,
        *,
        url: str | None = None,
        saver: BaseSaver | None = None,
        import_name: str = "op_store",
        max_body_bytes: int = 16 * MEBIBYTE,
        max_blob_bytes: int = 1024 * MEBIBYTE,
        legacy_routes: bool = True,
        **flask: Any,
    ) -> None:
        self.store = _one_store(store, url, saver)
        super().__init__(import_name, max_body_bytes=max_body_bytes, **flask)
        for name, call in CALLS.items():
            view = CallView(self.store, call, max_body_bytes)
            self._route_as(f"CallView:{name}", call.verb, call.path, view.carry_out)
        blobs = BlobViews(self.store, max_blob_bytes)
        self._route("GET", f"{BLOBS}<digest>", blobs.get)
        self._route("PUT", f"{BLOBS}<digest>", blobs.put)
        probes = OpStoreProbes(self.store)
        self._route("GET", "/livez", probes.live)
        self._route("GET", "/readyz", probes.ready)
        if legacy_routes:
            self._add_legacy(LegacyOpStoreViews(self.store, max_body_bytes, max_blob_bytes))

    def close(self) -> None:
        """
        Give back the store's connections. Idempotent.
        """
        self.store.close()

    def _add_legacy(self, views: LegacyOpStoreViews) -> None:
        for view in (
            views.get_all_versions_of_op,
            views.get_validated_links,
            views.get_op_bytes_for_version,
            views.save_op_bytes,
            views.register_valid_link,
            views.pipeline_exists,
            views.register_new_pipeline,
        ):
            self._route("POST", f"/v1/{view.__name__}", view)

    def _answer(self, error: Exception, request: Request) -> Response:
        if isinstance(error, NotFound) and (problem := problem_of(error)):
            detail = f"there is nothing at this address of an op store server; see {ROOT}"
            return answer_problem(attrs.evolve(problem, detail=detail), request)
        return super()._answer(error, request)


def _one_store(
    store: BaseOpStoreClient | None, url: str | None, saver: BaseSaver | None
) -> BaseOpStoreClient:
    from chariots_core.op_store.sql_store import LocalOpStoreClient

    if store is None and url is not None and saver is not None:
        return LocalOpStoreClient(url, saver)
    if isinstance(store, BaseOpStoreClient) and url is None and saver is None:
        return store
    raise ConfigurationError(
        "an op store server needs one op store: give it a client, or the url of a database "
        "and a saver for bytes"
    )
