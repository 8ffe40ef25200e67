"""
The value that names a version.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Final

import attrs

from chariots_core.versioning.fields import VersionType

EMPTY_DIGEST: Final = hashlib.sha1(b"", usedforsecurity=False).hexdigest()

_DIGEST: Final = re.compile(r"[0-9a-f]{1,128}")


def _now() -> datetime:
    return datetime.now(UTC)


def _check_digest(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not (isinstance(value, str) and _DIGEST.fullmatch(value)):
        raise ValueError(
            f"{value!r} is no {attribute.name} digest: give lower-case hexadecimal digits"
        )


def _as_utc(time: datetime) -> datetime:
    # text of the old form carries no zone; it was written in UTC
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


@attrs.frozen(kw_only=True, order=False)
class Version:
    """
    Three digests, and the moment they came about.

    Two versions are equal when their three digests are; the moment only tells
    which came later. A version never changes: every ``update_…`` and ``+``
    gives a new one.

    >>> first = Version()
    >>> second = first.update_minor(b"other parameters")
    >>> first == second, first.major == second.major, second > first
    (False, True, True)
    >>> Version.parse(str(second)) == second
    True

    Attributes:
        major: digest of what breaks compatibility.
        minor: digest of what changes results.
        patch: digest of what should not matter; a training is one by default.
        creation_time: when it came about; aware, in UTC.
    """

    major: str = attrs.field(default=EMPTY_DIGEST, validator=_check_digest)
    minor: str = attrs.field(default=EMPTY_DIGEST, validator=_check_digest)
    patch: str = attrs.field(default=EMPTY_DIGEST, validator=_check_digest)
    creation_time: datetime = attrs.field(factory=_now, converter=_as_utc, eq=False)

    @property
    def identity(self) -> str:
        """
        The three digests as one text, ``<major>.<minor>.<patch>``: equal for equal versions.
        """
        return f"{self.major}.{self.minor}.{self.patch}"

    def update(self, version_type: VersionType, data: bytes) -> Version:
        """
        A new version, created now, with *data* mixed into the digest of *version_type*.
        """
        field = VersionType(version_type).value
        digest = _combined(getattr(self, field), data)
        return attrs.evolve(self, creation_time=_now(), **{field: digest})

    def update_major(self, data: bytes) -> Version:
        """
        A new version with *data* mixed into the major digest.
        """
        return self.update(VersionType.MAJOR, data)

    def update_minor(self, data: bytes) -> Version:
        """
        A new version with *data* mixed into the minor digest.
        """
        return self.update(VersionType.MINOR, data)

    def update_patch(self, data: bytes) -> Version:
        """
        A new version with *data* mixed into the patch digest.
        """
        return self.update(VersionType.PATCH, data)

    def __add__(self, other: Version) -> Version:
        if not isinstance(other, Version):
            return NotImplemented
        return Version(
            major=_combined(self.major, other.major.encode()),
            minor=_combined(self.minor, other.minor.encode()),
            patch=_combined(self.patch, other.patch.encode()),
            creation_time=max(self.creation_time, other.creation_time),
        )

    def __gt__(self, other: Version) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return self != other and self.creation_time > other.creation_time

    def __lt__(self, other: Version) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return other > self

    def __str__(self) -> str:
        return f"{self.identity}_{self.creation_time.isoformat()}"

    @classmethod
    def parse(cls, text: str) -> Version:
        """
        The version that *text*, made by `str`, stands for.

        Raises:
            ValueError: *text* is not of the form ``<major>.<minor>.<patch>_<time>``.
        """
        digests, _, moment = text.partition("_")
        try:
            major, minor, patch = digests.split(".")
            return cls(
                major=major,
                minor=minor,
                patch=patch,
                creation_time=datetime.fromisoformat(moment),
            )
        except ValueError as error:
            raise ValueError(
                f"{text!r} is no version: give <major>.<minor>.<patch>_<creation time>"
            ) from error


def _combined(digest: str, data: bytes) -> str:
    # the separator cannot be part of a digest: (ab, c) and (a, bc) stay different
    return hashlib.sha1(digest.encode() + b":" + data, usedforsecurity=False).hexdigest()
