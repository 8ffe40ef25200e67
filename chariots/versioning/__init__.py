"""
Versions of ops, and the fields that they come from.
"""

from chariots_core.versioning import (
    Version,
    VersionableMeta,
    VersionedField,
    VersionedFieldDict,
    VersionType,
)

__all__ = [
    "Version",
    "VersionType",
    "VersionableMeta",
    "VersionedField",
    "VersionedFieldDict",
]
