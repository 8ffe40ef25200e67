"""
An op store embedded in the process: facts in an SQL database, bytes with a saver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chariots_core.errors import ArtifactCorrupt
from chariots_core.op_store import blobs, sql_reads
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.leases import job_holder
from chariots_core.op_store.savers import BaseSaver
from chariots_core.op_store.schema import SCHEMA
from chariots_core.op_store.sql_writes import Change
from chariots_core.op_store.values import (
    ActiveSet,
    Link,
    Manifest,
    OpVersion,
    SavedOp,
    ServingReport,
)
from chariots_core.sql import CLOCKS, Database
from chariots_core.versioning import Version


class LocalOpStoreClient(BaseOpStoreClient):
    """
    An op store in this process. Every process that uses the same database and
    the same place for bytes uses the same store.

    Args:
        url: the database: ``sqlite:///path/to/file.db`` or ``postgresql://…``.
        saver: the place for bytes.

    Raises:
        ConfigurationError: the address of the database cannot work.
    """

    def __init__(self, url: str, saver: BaseSaver) -> None:
        self._database = Database(_durable(url), kind="op store", schema=SCHEMA)
        self._saver = saver

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._database.name!r} {self._saver!r}>"

    @property
    def shown_address(self) -> str:
        return self._database.name

    @property
    def saver(self) -> BaseSaver:
        """
        The place for bytes.
        """
        return self._saver

    # -- bytes

    def put_blob(self, data: bytes) -> str:
        return blobs.put_blob(self._saver, data)

    def get_blob(self, digest: str) -> bytes:
        return blobs.get_blob(self._saver, digest)

    # -- what is known

    def newest(
        self,
        ops: Iterable[str],
        *,
        code: Mapping[str, str] | None = None,
        trained_by: str | None = None,
    ) -> Mapping[str, OpVersion]:
        names = list(ops)
        if not names:
            return {}
        with self._database.reading() as connection:
            return sql_reads.newest(connection, names, code or {}, trained_by)

    def savings(
        self, op: str, *, version: Version | None = None, limit: int | None = None
    ) -> Sequence[OpVersion]:
        with self._database.reading() as connection:
            return sql_reads.savings(connection, op, version, limit)

    def valid(self, links: Iterable[Link]) -> frozenset[Link]:
        asked = list(links)
        if not asked:
            return frozenset()
        with self._database.reading() as connection:
            return sql_reads.valid(connection, asked)

    def links_between(self, upstream: str, downstream: str) -> Sequence[Link]:
        with self._database.reading() as connection:
            return sql_reads.links_between(connection, upstream, downstream)

    def active_sets(self, pipelines: Iterable[str]) -> Mapping[str, ActiveSet]:
        with self._database.reading() as connection:
            return sql_reads.active_sets(connection, list(pipelines))

    def activations(self, pipeline: str, *, limit: int | None = 50) -> Sequence[ActiveSet]:
        with self._database.reading() as connection:
            return sql_reads.activations(connection, pipeline, limit)

    def candidate(self, pipeline: str) -> Manifest | None:
        with self._database.reading() as connection:
            return sql_reads.candidate(connection, pipeline)

    def known_pipelines(self) -> frozenset[str]:
        with self._database.reading() as connection:
            return sql_reads.known_pipelines(connection)

    def revision(self) -> int:
        with self._database.reading() as connection:
            return sql_reads.revision(connection)

    # -- changes

    def register(self, manifests: Iterable[Manifest]) -> frozenset[str]:
        named = {manifest.pipeline: manifest for manifest in manifests}
        with self._database.writing() as connection:
            change = Change(connection)
            new = frozenset(name for name in named if not change.is_active(name))
            for name in sorted(new):
                manifest = named[name]
                for saved in manifest.saved:
                    change.check_class(saved)
                seqs = [change.save(saved, manifest) for saved in manifest.saved]
                change.validate(manifest.links, pipeline=name)
                change.activate(name, seqs)
            if new:
                change.finish()
        return new

    def publish(self, manifest: Manifest, *, release: bool | None = None) -> bool:
        released = manifest.job_id is not None if release is None else release
        key = None if manifest.job_id is None else f"{manifest.pipeline}/{manifest.job_id}"
        self._check_bytes(manifest)
        with self._database.writing() as connection:
            change = Change(connection)
            if manifest.job_id is not None:
                change.end_lease(job_holder(manifest.job_id))
            if key is not None and change.is_published(key):
                return False
            if key is not None or manifest.trained or not released:
                change.note_publication(manifest, key=key, released=released)
            if released:
                _release(change, manifest)
            else:
                for saved in manifest.trained.values():
                    change.save_candidate(saved, manifest)
            change.finish()
        return True

    def release(self, manifest: Manifest, *, candidate: Manifest | None) -> bool:
        self._check_bytes(manifest)
        with self._database.writing() as connection:
            # the lock first: nobody publishes between the look and the change
            change = Change(connection)
            if sql_reads.candidate(connection, manifest.pipeline) != candidate:
                return False
            change.note_publication(manifest, key=None, released=True)
            _release(change, manifest)
            change.finish()
        return True

    def _check_bytes(self, manifest: Manifest) -> None:
        for saved in manifest.saved:
            if saved.digest is None:
                continue
            size = self._saver.size(blobs.blob_path(saved.digest))
            if size != saved.size:
                raise ArtifactCorrupt(
                    f"op {saved.op!r} cannot be published: its {saved.size} bytes are not in "
                    f"{self._saver!r} (found: {size}); every process of an app must use the same "
                    "place for bytes"
                )

    def validate(self, links: Iterable[Link]) -> None:
        validated = list(links)
        with self._database.writing() as connection:
            change = Change(connection)
            change.validate(validated)
            change.finish()

    def activate(self, pipeline: str, ops: Iterable[SavedOp]) -> ActiveSet:
        manifest = Manifest(pipeline=pipeline, saved=tuple(ops))
        with self._database.writing() as connection:
            change = Change(connection)
            change.activate(pipeline, [change.seq_of(saved, manifest) for saved in manifest.saved])
            change.finish()
            return sql_reads.active_sets(connection, [pipeline])[pipeline]

    def register_name(self, pipeline: str) -> None:
        with self._database.writing() as connection:
            change = Change(connection)
            change.add_pipeline(pipeline)
            change.finish()

    # -- leases

    def take_lease(
        self, ops: Iterable[str], *, holder: str, seconds: float, renew: bool = False
    ) -> Mapping[str, str]:
        with self._database.writing() as connection:
            # the lock that comes with it: of two holders, one is first
            change = Change(connection)
            return change.take_lease(list(ops), holder, seconds, renew=renew, clock=self._clock)

    def end_lease(self, holder: str) -> None:
        with self._database.writing() as connection:
            Change(connection).end_lease(holder)

    # -- presence

    def report(self, process: ServingReport, *, seconds: float) -> None:
        with self._database.writing() as connection:
            Change(connection).report(process, seconds, clock=self._clock)

    def processes(self, app: str) -> Sequence[ServingReport]:
        with self._database.reading() as connection:
            return sql_reads.processes(connection, app, clock=self._clock)

    @property
    def _clock(self) -> str:
        return CLOCKS[self._database.dialect]

    # -- the store itself

    def ping(self) -> None:
        self._database.ping()

    def close(self) -> None:
        self._database.close()


def _release(change: Change, manifest: Manifest) -> None:
    for saved in manifest.saved:
        change.save(saved, manifest)
    change.validate(manifest.links, pipeline=manifest.pipeline or None, job_id=manifest.job_id)


def _durable(url: str) -> str:
    # what a job trained is marked as published once it is here: a power cut
    # must not take it away again
    if not url.startswith("sqlite") or "synchronous=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}synchronous=full"
