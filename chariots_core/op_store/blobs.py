"""
Bytes under the name of their content: written once, checked at every reading.
"""

from __future__ import annotations

import hashlib

from chariots_core.errors import ArtifactCorrupt
from chariots_core.op_store.savers import BaseSaver


def digest_of(data: bytes) -> str:
    """
    SHA-256 of *data*, in hexadecimal digits.
    """
    return hashlib.sha256(data).hexdigest()


def blob_path(digest: str) -> str:
    """
    Where the bytes of that digest are, for a saver.
    """
    return f"blobs/{digest[:2]}/{digest}"


def put_blob(saver: BaseSaver, data: bytes) -> str:
    """
    Keep *data* and return its digest. Bytes that are there already are not written again.
    """
    digest = digest_of(data)
    path = blob_path(digest)
    if not _is_kept(saver, path, data):
        saver.save(data, path)
    return digest


def _is_kept(saver: BaseSaver, path: str, data: bytes) -> bool:
    # compared whole: what a disk has damaged is mended by saving the same again
    if saver.size(path) != len(data):
        return False
    try:
        return saver.load(path) == data
    except FileNotFoundError:
        return False


def get_blob(saver: BaseSaver, digest: str) -> bytes:
    """
    The bytes of that digest.

    Raises:
        ArtifactCorrupt: there are none, or they are not the ones that were put.
    """
    path = blob_path(digest)
    try:
        data = saver.load(path)
    except FileNotFoundError as error:
        raise ArtifactCorrupt(
            f"the bytes of {path!r} are missing from {saver!r}: restore them from a backup, "
            "or train the op again"
        ) from error
    if (found := digest_of(data)) != digest:
        raise ArtifactCorrupt(
            f"the bytes of {path!r} in {saver!r} have the SHA-256 {found}: they were changed or "
            "damaged; restore them from a backup, or train the op again"
        )
    return data
