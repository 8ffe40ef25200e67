"""
The contract of an op store, embedded or over HTTP.

An op store keeps the versions of ops with their bytes, the links between
versions that were validated together, and the sets of versions at which
pipelines are served. Which versions a pipeline gets, and what blocks it, is
decided above it, once for all stores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from chariots_core.errors import OpStoreError, OpVersionNotFound
from chariots_core.op_store.values import (
    ActiveSet,
    Link,
    Manifest,
    OpVersion,
    SavedOp,
    ServingReport,
)
from chariots_core.pipelines.ops import BaseOp
from chariots_core.pipelines.pipeline import Pipeline
from chariots_core.versioning import Version, version_of


class BaseOpStoreClient(ABC):
    """
    A handle on an op store. Implementations are thread-safe and fork-safe.

    Making a handle does no input or output; the first use connects. Every
    method may raise `StoreUnavailable`.
    """

    @property
    def shown_address(self) -> str:
        """
        The address of the store without its password; empty: not known.
        """
        return ""

    # -- bytes

    @abstractmethod
    def put_blob(self, data: bytes) -> str:
        """
        Keep bytes, whole, and return their SHA-256; the same bytes are kept once.
        """

    @abstractmethod
    def get_blob(self, digest: str) -> bytes:
        """
        The bytes of that SHA-256.

        Raises:
            ArtifactCorrupt: they are missing, or are not the ones that were put.
        """

    # -- what is known

    @abstractmethod
    def newest(
        self,
        ops: Iterable[str],
        *,
        code: Mapping[str, str] | None = None,
        trained_by: str | None = None,
    ) -> Mapping[str, OpVersion]:
        """
        The newest saved version of each op; an op without one is left out.

        Args:
            ops: names.
            code: for the ops in it, only versions of that code's major digest.
            trained_by: a pipeline whose unsaved trainings count as well.
        """

    @abstractmethod
    def savings(
        self, op: str, *, version: Version | None = None, limit: int | None = None
    ) -> Sequence[OpVersion]:
        """
        What was saved of one op, or of one version of it; the newest first.
        """

    @abstractmethod
    def valid(self, links: Iterable[Link]) -> frozenset[Link]:
        """
        Those of *links* that were validated. Unknown is not valid.
        """

    @abstractmethod
    def links_between(self, upstream: str, downstream: str) -> Sequence[Link]:
        """
        Every validated link between two ops, the oldest first.
        """

    @abstractmethod
    def active_sets(self, pipelines: Iterable[str]) -> Mapping[str, ActiveSet]:
        """
        The active set of each pipeline; a pipeline without one is left out.
        """

    @abstractmethod
    def activations(self, pipeline: str, *, limit: int | None = 50) -> Sequence[ActiveSet]:
        """
        The sets that a pipeline was served at, the newest first.
        """

    @abstractmethod
    def candidate(self, pipeline: str) -> Manifest | None:
        """
        What the pipeline's newest run trained, if nobody saved or replaced it yet.
        """

    @abstractmethod
    def known_pipelines(self) -> frozenset[str]:
        """
        The names of the registered pipelines.
        """

    @abstractmethod
    def revision(self) -> int:
        """
        A number that grows with every change of links and active sets.
        """

    # -- changes

    @abstractmethod
    def register(self, manifests: Iterable[Manifest]) -> frozenset[str]:
        """
        Register pipelines with their first versions, links and active sets, in one step.

        Pipelines that have an active set already are left as they are.

        Args:
            manifests: one for each pipeline, which names each of its ops.

        Returns:
            The names of those that are new.
        """

    @abstractmethod
    def publish(self, manifest: Manifest, *, release: bool | None = None) -> bool:
        """
        Take over what a run trained or somebody saved, in one step.

        Args:
            manifest: what; its bytes are put already.
            release: whether the versions count as saved and the links as
                validated. If not, they are the pipeline's candidate. By
                default what a job trained is released. A release replaces the
                candidate where it trained something.

        Returns:
            Whether it was new: a job's manifest is published once.

        Raises:
            ArtifactCorrupt: its bytes were not put; nothing is changed.
        """

    @abstractmethod
    def release(self, manifest: Manifest, *, candidate: Manifest | None) -> bool:
        """
        As `publish` with *release*, if the pipeline's candidate is still the one
        that *manifest* was made from: what another run has trained meanwhile is
        neither hidden nor outdone.

        Args:
            manifest: what; its bytes are put already.
            candidate: what `candidate` gave, before *manifest* was made.

        Returns:
            Whether it was taken over. If not, nothing is changed: make it anew.

        Raises:
            ArtifactCorrupt: its bytes were not put; nothing is changed.
        """

    @abstractmethod
    def validate(self, links: Iterable[Link]) -> None:
        """
        Say that versions fit together.
        """

    @abstractmethod
    def activate(self, pipeline: str, ops: Iterable[SavedOp]) -> ActiveSet:
        """
        Serve a pipeline at these versions, in every process.

        Raises:
            OpVersionNotFound: a version with bytes was never saved; nothing is changed.
        """

    @abstractmethod
    def register_name(self, pipeline: str) -> None:
        """
        Note a pipeline's name, without versions. Known ones are left as they are.
        """

    # -- who trains

    @abstractmethod
    def take_lease(
        self, ops: Iterable[str], *, holder: str, seconds: float, renew: bool = False
    ) -> Mapping[str, str]:
        """
        Give *holder* the exclusive right to train some ops: all of them or none.

        Args:
            ops: their names.
            holder: who trains, as messages show it.
            seconds: for how long, by the store's clock.
            renew: whether the holder must have the lease already. One that expired is
                still the holder's, unless another holder has taken it meanwhile.

        Returns:
            Op to holder for those that others train, or have trained since the lease to
            renew expired; empty: the lease is taken.
        """

    @abstractmethod
    def end_lease(self, holder: str) -> None:
        """
        End the lease of *holder*. An unknown holder is not an error.
        """

    # -- who serves

    @abstractmethod
    def report(self, process: ServingReport, *, seconds: float) -> None:
        """
        Store the report of a process for *seconds*; a later report replaces it.
        """

    @abstractmethod
    def processes(self, app: str) -> Sequence[ServingReport]:
        """
        The processes of an app that have reported lately, by host and pid.
        """

    # -- the store itself

    @abstractmethod
    def ping(self) -> None:
        """
        Return if the store answers.

        Raises:
            StoreUnavailable: it does not; the message names it without its password.
        """

    @abstractmethod
    def close(self) -> None:
        """
        Give back connections. Idempotent; a later use connects anew.
        """

    # -- on top of it

    def active(self, pipeline: str) -> ActiveSet | None:
        """
        The versions at which a pipeline is served, if it is.
        """
        return self.active_sets([pipeline]).get(pipeline)

    def activate_again(self, pipeline: str, generation: int) -> ActiveSet:
        """
        Serve a pipeline at an earlier set again: a rollback, or its undoing.

        Raises:
            OpVersionNotFound: the pipeline had no such generation.
        """
        for earlier in self.activations(pipeline, limit=None):
            if earlier.generation == generation:
                return self.activate(pipeline, [op.as_saved() for op in earlier.ops.values()])
        raise OpVersionNotFound(
            f"pipeline {pipeline!r} was never served at generation {generation!r}: "
            "see its activations for those there are"
        )

    def load_pipeline(self, pipeline: Pipeline) -> Mapping[str, BaseOp]:
        """
        The pipeline's ops at their newest saved versions, which become its active set.

        Raises:
            VersionError: they were never validated together; nothing is changed.
        """
        from chariots_core.op_store.direct import load_pipeline

        return load_pipeline(self, pipeline)

    def save_pipeline(self, pipeline: Pipeline) -> None:
        """
        Save the pipeline's ops as they are, and validate the links between them.
        """
        from chariots_core.op_store.direct import save_pipeline

        save_pipeline(self, pipeline)

    # -- the calls of old

    def get_all_versions_of_op(self, op: BaseOp | str) -> set[Version] | None:
        """
        Every saved version of an op; ``None`` if there is none.
        """
        return {known.version for known in self.savings(_op_name(op))} or None

    def get_validated_links(
        self, downstream_op_name: str | None, upstream_op_name: str
    ) -> set[Version] | None:
        """
        The upstream versions that the downstream op's newest version was validated with.

        ``None`` if there is none.
        """
        downstream, downstream_version = self._newest_identity(downstream_op_name)
        identities = {
            link.upstream_version
            for link in self.links_between(upstream_op_name, downstream)
            if link.downstream_version == downstream_version
        }
        known = {saved.version.identity: saved.version for saved in self.savings(upstream_op_name)}
        return {known.get(identity) or _bare_version(identity) for identity in identities} or None

    def get_op_bytes_for_version(self, op: BaseOp | str, version: Version) -> bytes:
        """
        The bytes that were saved last for a version of an op.

        Raises:
            OpVersionNotFound: it was never saved, or has no bytes.
        """
        for known in self.savings(_op_name(op), version=version, limit=1):
            if known.digest is not None:
                return self.get_blob(known.digest)
        raise OpVersionNotFound(
            f"op {_op_name(op)!r} has no bytes at version {version.identity!r}: save it first"
        )

    def save_op_bytes(self, op_to_save: BaseOp | str, version: Version, op_bytes: bytes) -> None:
        """
        Save bytes as the newest version of an op.
        """
        saved = SavedOp(
            op=_op_name(op_to_save),
            version=version,
            code=version_of(op_to_save).major if isinstance(op_to_save, BaseOp) else None,
            digest=self.put_blob(op_bytes),
            serializer=getattr(op_to_save, "serializer", None),
            size=len(op_bytes),
            trained=True,
        )
        self.publish(Manifest(pipeline="", saved=(saved,)), release=True)

    def register_valid_link(
        self,
        downstream_op: str | None,
        upstream_op: str,
        upstream_op_version: Version,
    ) -> None:
        """
        Validate an upstream version with the downstream op's newest version.

        Args:
            downstream_op: a name; ``None``: the output of a pipeline.
            upstream_op: a name.
            upstream_op_version: its version.
        """
        downstream, downstream_version = self._newest_identity(downstream_op)
        link = Link(
            upstream=upstream_op,
            upstream_version=upstream_op_version.identity,
            downstream=downstream,
            downstream_version=downstream_version,
        )
        self.validate([link])

    def pipeline_exists(self, pipeline_name: str) -> bool:
        """
        Whether a pipeline of that name is registered.
        """
        return pipeline_name in self.known_pipelines()

    def register_new_pipeline(
        self, pipeline: Pipeline | str, last_op_name: str | None = None
    ) -> None:
        """
        Note a pipeline's name; its versions come when it is saved or served.

        Args:
            pipeline: the pipeline or its name.
            last_op_name: the op that gives its output; must not be empty text.
        """
        name = pipeline if isinstance(pipeline, str) else pipeline.name
        if not name or last_op_name == "":
            raise OpStoreError(
                f"pipeline {name!r} cannot be registered: give it and its last op a name"
            )
        self.register_name(name)

    def _newest_identity(self, op: str | None) -> tuple[str, str]:
        if op is None:
            return "", ""
        newest = self.newest([op]).get(op)
        return op, newest.version.identity if newest else ""


def _op_name(op: BaseOp | str) -> str:
    return op if isinstance(op, str) else op.name


def _bare_version(identity: str) -> Version:
    major, minor, patch = identity.split(".")
    return Version(major=major, minor=minor, patch=patch)
