"""
The client of an op store server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from chariots_core.client.retries import RetryPolicy
from chariots_core.client.transport import Request, Timeouts, Transport
from chariots_core.errors import ArtifactCorrupt
from chariots_core.op_store.blobs import digest_of
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.values import (
    ActiveSet,
    Link,
    Manifest,
    OpVersion,
    SavedOp,
    ServingReport,
)
from chariots_core.op_store_http.address import read_server_address
from chariots_core.op_store_http.answers import ResultReader, read_bytes
from chariots_core.op_store_http.calls import BLOBS, CALLS
from chariots_core.op_store_http.connection import Connection
from chariots_core.op_store_http.forms import form_of
from chariots_core.versioning import Version

_BYTES: Final = {"Content-Type": "application/octet-stream", "Accept": "application/json"}

Contract: TypeAlias = BaseOpStoreClient

T = TypeVar("T")

#: Asked about every second, on the way of requests: the next time is soon.
_LOOKS: Final[tuple[Callable[..., object], ...]] = (Contract.ping, Contract.revision)

_READERS: Final = {name: ResultReader(call.answer) for name, call in CALLS.items()}
_DIGEST: Final = ResultReader(form_of(str))


class OpStoreClient(BaseOpStoreClient):
    """
    An op store behind a server, e.g. one started by ``chariots op-store``. A
    process that uses it needs neither the database nor the place for bytes.

    Nothing is sent before the first use. Connections are kept open between
    calls; each process that is forked makes its own.

    What may be carried out twice without harm is sent again when its answer is
    lost: questions, bytes, the publication of what a job trained, validations
    and registrations. An activation, and a publication that no job stands for,
    are not: after a `StoreUnavailable` they may have been carried out.

    Args:
        url: where the server is, as ``http://host:port``. A user and a password
            in it are sent as basic authentication, for a proxy in front of the
            server, and never shown.
        timeouts: seconds for connecting and for an answer.
        look_timeout: seconds for an answer to what every process asks about
            each second, whether anything has changed.
        retries: how often to try again where that is safe.
        transport: makes another carrier of requests than HTTP; called once in
            each process.

    Raises:
        ConfigurationError: the address is none.
    """

    def __init__(
        self,
        url: str,
        *,
        timeouts: Timeouts | None = None,
        look_timeout: float = 5.0,
        retries: RetryPolicy | None = None,
        transport: Callable[[], Transport] | None = None,
    ) -> None:
        address = read_server_address(url)
        self.url = address.url
        self._look_timeout = look_timeout
        self._connection = Connection(
            address, timeouts=timeouts, retries=retries, make_transport=transport
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url!r}>"

    @property
    def shown_address(self) -> str:
        return self.url

    # -- bytes

    def put_blob(self, data: bytes) -> str:
        digest = digest_of(data)
        request = Request(
            method="PUT", path=BLOBS + digest, body=bytes(data), headers=_BYTES, repeatable=True
        )
        kept = self._connection.ask(request, _DIGEST)
        if kept != digest:
            raise ArtifactCorrupt(
                f"op store server {self.url} kept bytes under {kept!r} whose SHA-256 is "
                f"{digest!r}: it is at fault, or something between"
            )
        return digest

    def get_blob(self, digest: str) -> bytes:
        request = Request(
            method="GET",
            path=f"{BLOBS}{digest}",
            headers={"Accept": "application/octet-stream, application/json"},
            repeatable=True,
        )
        data = self._connection.ask(request, read_bytes)
        if (found := digest_of(data)) != digest:
            raise ArtifactCorrupt(
                f"the bytes {digest!r} came from op store server {self.url} with the SHA-256 "
                f"{found}: they were changed or damaged on the way"
            )
        return data

    # -- what is known

    def newest(
        self,
        ops: Iterable[str],
        *,
        code: Mapping[str, str] | None = None,
        trained_by: str | None = None,
    ) -> Mapping[str, OpVersion]:
        names = list(ops)
        return (
            self._ask(Contract.newest, ops=names, code=code, trained_by=trained_by) if names else {}
        )

    def savings(
        self, op: str, *, version: Version | None = None, limit: int | None = None
    ) -> Sequence[OpVersion]:
        return self._ask(Contract.savings, op=op, version=version, limit=limit)

    def valid(self, links: Iterable[Link]) -> frozenset[Link]:
        asked = list(links)
        return self._ask(Contract.valid, links=asked) if asked else frozenset()

    def links_between(self, upstream: str, downstream: str) -> Sequence[Link]:
        return self._ask(Contract.links_between, upstream=upstream, downstream=downstream)

    def active_sets(self, pipelines: Iterable[str]) -> Mapping[str, ActiveSet]:
        return self._ask(Contract.active_sets, pipelines=list(pipelines))

    def activations(self, pipeline: str, *, limit: int | None = 50) -> Sequence[ActiveSet]:
        return self._ask(Contract.activations, pipeline=pipeline, limit=limit)

    def candidate(self, pipeline: str) -> Manifest | None:
        return self._ask(Contract.candidate, pipeline=pipeline)

    def known_pipelines(self) -> frozenset[str]:
        return self._ask(Contract.known_pipelines)

    def revision(self) -> int:
        return self._ask(Contract.revision)

    # -- changes

    def register(self, manifests: Iterable[Manifest]) -> frozenset[str]:
        return self._ask(Contract.register, manifests=list(manifests))

    def publish(self, manifest: Manifest, *, release: bool | None = None) -> bool:
        return self._ask(Contract.publish, manifest=manifest, release=release)

    def release(self, manifest: Manifest, *, candidate: Manifest | None) -> bool:
        return self._ask(Contract.release, manifest=manifest, candidate=candidate)

    def validate(self, links: Iterable[Link]) -> None:
        self._ask(Contract.validate, links=list(links))

    def activate(self, pipeline: str, ops: Iterable[SavedOp]) -> ActiveSet:
        return self._ask(Contract.activate, pipeline=pipeline, ops=list(ops))

    def register_name(self, pipeline: str) -> None:
        self._ask(Contract.register_name, pipeline=pipeline)

    # -- leases

    def take_lease(
        self, ops: Iterable[str], *, holder: str, seconds: float, renew: bool = False
    ) -> Mapping[str, str]:
        return self._ask(
            Contract.take_lease, ops=list(ops), holder=holder, seconds=seconds, renew=renew
        )

    def end_lease(self, holder: str) -> None:
        self._ask(Contract.end_lease, holder=holder)

    # -- presence

    def report(self, process: ServingReport, *, seconds: float) -> None:
        self._ask(Contract.report, process=process, seconds=seconds)

    def processes(self, app: str) -> Sequence[ServingReport]:
        return self._ask(Contract.processes, app=app)

    # -- the store itself

    def ping(self) -> None:
        self._ask(Contract.ping)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: Callable[..., T], **arguments: Any) -> T:
        """
        Have the server carry out a method of the contract.

        Args:
            method: one of `BaseOpStoreClient`.
            **arguments: its arguments, by their names.
        """
        call, reader = CALLS[method.__name__], _READERS[method.__name__]
        is_look = method in _LOOKS
        request = call.request(arguments, timeout=self._look_timeout if is_look else None)
        found: T = self._connection.ask(request, reader, tries_again=not is_look)
        return found
