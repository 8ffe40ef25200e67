"""
The values of the op store: what was saved, what fits together, what is active.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import attrs

from chariots_core.errors import OpStoreError
from chariots_core.versioning import Version


def _frozen_mapping(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(mapping))


@attrs.frozen(kw_only=True)
class Origin:
    """
    How a saved state was made.

    Attributes:
        op_class: the class of the op, as ``module:Class``.
        named: whether the op has an explicit name, which other classes may share.
            A default name identifies the class.
        code: the identity of the version that the code of the op had.
        trained: whether a run trained the state. If not, it is the fresh one of
            the code.
        declared: the declaration of the code, as canonical JSON text.
        fitted: the class and parameters of the state itself, in the same form.
        continued_from: the identity of the version that the training started
            from; ``None``: it started from a fresh state.
    """

    op_class: str
    code: str
    named: bool = False
    trained: bool = False
    declared: str = "{}"
    fitted: str = "{}"
    continued_from: str | None = None

    def to_json(self) -> str:
        """
        Return the origin as JSON text.
        """
        return json.dumps(attrs.asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Origin:
        """
        Return the origin that *text*, made by `to_json`, holds.
        """
        known = {field.name for field in attrs.fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in known})


@attrs.frozen(kw_only=True)
class SavedOp:
    """
    One op at one version, as a saving describes it.

    Attributes:
        op: the op's name.
        version: its version.
        code: the major digest of the code it was saved by: other code keeps
            its own fresh state. ``None`` where that is not known; the version's
            own major then stands for it.
        digest: SHA-256 of its bytes, in hexadecimal digits; ``None``: it has no state.
        serializer: the name of the format of its bytes.
        size: how many bytes.
        trained: whether a run made it. What a run made becomes the op's newest
            version; anything else only adds to what is there.
        origin: how its state was made; ``None``: it has none, or that is not known.
    """

    op: str
    version: Version
    code: str | None = None
    digest: str | None = None
    serializer: str | None = None
    size: int = 0
    trained: bool = False
    origin: Origin | None = None

    def to_plain(self) -> dict[str, Any]:
        return {
            **attrs.asdict(self, recurse=False),
            "version": str(self.version),
            "origin": None if self.origin is None else attrs.asdict(self.origin),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> SavedOp:
        # a manifest of an earlier release has no origins
        origin = plain.get("origin")
        return cls(
            **{
                **plain,
                "version": Version.parse(plain["version"]),
                "origin": None if origin is None else Origin(**origin),
            }
        )


@attrs.frozen(kw_only=True)
class OpVersion:
    """
    One op at one version, as the store knows it.

    Attributes:
        seq: the store's running number: a later saving has a greater one.
        op: the op's name.
        version: its version.
        code: the major digest of the code it was saved by; other code keeps its
            own fresh state.
        digest: SHA-256 of its bytes; ``None``: it has no state.
        serializer: the name of the format of its bytes: information, never an order.
        size: how many bytes.
        pipeline: the pipeline that it was saved with, if known.
        job_id: the job that made it, if one did.
        released: whether it counts as saved; what a run in a web process trained
            does not, until its pipeline is saved.
        origin: how its state was made, if known.
        created_at: when it was saved; aware, in UTC.
    """

    seq: int
    op: str
    version: Version
    code: str
    digest: str | None = None
    serializer: str | None = None
    size: int = 0
    pipeline: str | None = None
    job_id: str | None = None
    released: bool = True
    origin: Origin | None = None
    created_at: datetime

    def as_saved(self) -> SavedOp:
        """
        The same, as a saving would describe it.
        """
        return SavedOp(
            op=self.op,
            version=self.version,
            code=self.code,
            digest=self.digest,
            serializer=self.serializer,
            size=self.size,
            origin=self.origin,
        )


@attrs.frozen(kw_only=True, order=True)
class Link:
    """
    Two versions that were validated together, or that somebody asks about.

    Versions are named by their identity, ``<major>.<minor>.<patch>``. In a
    question, the major digest of an op's code alone stands for every version
    that was saved by that code, and `ANY` for every version.

    Attributes:
        upstream: the name of the op whose output goes in.
        upstream_version: the identity of its version.
        downstream: the name of the op that takes it; empty: the pipeline's output.
        downstream_version: the identity of its version; empty where it has none.
    """

    upstream: str
    upstream_version: str
    downstream: str
    downstream_version: str


#: In a question: whichever version.
ANY: Final = "*"


def names_code(version: str) -> bool:
    """
    Whether a version in a question stands for all that were saved by one code.
    """
    return bool(version) and version != ANY and "." not in version


def short_version(version: Version | str) -> str:
    """
    A version, as messages show it: the first seven digits of each part.

    >>> short_version(Version())
    'da39a3e.da39a3e.da39a3e'
    """
    identity = version if isinstance(version, str) else version.identity
    return ".".join(part[:7] for part in identity.split("."))


@attrs.frozen(kw_only=True)
class Manifest:
    """
    All that one saving says: versions, whose bytes are stored already, and links.

    It crosses processes as JSON text. Bytes are put first, the manifest is
    published last: until then nothing refers to them.

    Attributes:
        pipeline: whose ops these are.
        job_id: the job that trained them. A manifest with a job is published
            once, however often and by however many processes it is sent.
        attempt: which attempt of the job.
        saved: the versions.
        links: which of them, and of others, were run together.
    """

    pipeline: str
    job_id: str | None = None
    attempt: int = 0
    saved: tuple[SavedOp, ...] = ()
    links: tuple[Link, ...] = ()

    @property
    def trained(self) -> Mapping[str, SavedOp]:
        """
        What the run made, by the op's name.
        """
        return {saved.op: saved for saved in self.saved if saved.trained}

    def to_json(self) -> str:
        """
        The manifest as JSON text: the same text for the same manifest.
        """
        plain = {
            "pipeline": self.pipeline,
            "job_id": self.job_id,
            "attempt": self.attempt,
            "saved": [saved.to_plain() for saved in self.saved],
            "links": [attrs.asdict(link) for link in self.links],
        }
        return json.dumps(plain, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """
        The manifest that *text* holds.

        Raises:
            OpStoreError: it holds none.
        """
        try:
            plain = json.loads(text)
            return cls(
                pipeline=plain["pipeline"],
                job_id=plain["job_id"],
                attempt=plain["attempt"],
                saved=tuple(SavedOp.from_plain(saved) for saved in plain["saved"]),
                links=tuple(Link(**link) for link in plain["links"]),
            )
        except (ValueError, TypeError, KeyError) as error:
            raise OpStoreError(
                f"text {text[:80]!r} is no manifest of saved ops ({error}): "
                "it was cut or written by another version of chariots"
            ) from error


@attrs.frozen(kw_only=True)
class ServingReport:
    """
    A presence report: the sets that one process serves.

    Attributes:
        id: the same for all reports of a process.
        app: the name of its app.
        host: the machine's name.
        pid: the process id there.
        kind: ``"web"``, ``"worker"``, or ``"process"`` for any other.
        revision: the store's revision that it has seen. It may still follow later
            changes.
        serving: pipeline to the generation that it serves; 0: none.
        code: pipeline to a digest of the code that it has for the ops with state.
    """

    id: str
    app: str
    host: str
    pid: int
    kind: str = "process"
    revision: int = 0
    serving: Mapping[str, int] = attrs.field(factory=dict, converter=_frozen_mapping)
    code: Mapping[str, str] = attrs.field(factory=dict, converter=_frozen_mapping)


@attrs.frozen(kw_only=True)
class ActiveSet:
    """
    The versions at which a pipeline is served, by every process.

    Attributes:
        pipeline: the pipeline's name.
        generation: 1 for the pipeline's first set, and one more for each later one.
        ops: op name to version. An op that is not named has the state of the code.
        loads: how often it was loaded. A process replaces the state that its ops
            have built up when this number changes.
        created_at: when it was activated; aware, in UTC.
    """

    pipeline: str
    generation: int
    ops: Mapping[str, OpVersion] = attrs.field(converter=_frozen_mapping)
    loads: int = 1
    created_at: datetime

    @property
    def versions(self) -> Mapping[str, Version]:
        """
        Op name to its version.
        """
        return {name: known.version for name, known in self.ops.items()}
