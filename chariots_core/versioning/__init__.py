"""
Versions: what a versioned field is, and how a version is computed and compared.
"""

from chariots_core.versioning.fields import VersionedField, VersionedFieldDict, VersionType
from chariots_core.versioning.version import Version
from chariots_core.versioning.versionable import VersionableMeta, version_of

__all__ = [
    "Version",
    "VersionType",
    "VersionableMeta",
    "VersionedField",
    "VersionedFieldDict",
    "version_of",
]
