"""
Bytes under the name of their content.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from chariots_core.errors import ArtifactCorrupt
from chariots_core.op_store.blobs import blob_path, get_blob, put_blob
from chariots_core.op_store.savers import FileSaver


@pytest.fixture(name="saver")
def _saver(tmp_path: Path) -> FileSaver:
    return FileSaver(tmp_path)


def test_bytes_are_kept_under_their_sha256(saver: FileSaver) -> None:
    """
    The name of bytes is their SHA-256, and gives them back.
    """
    digest = put_blob(saver, b"weights")

    assert (hashlib.sha256(b"weights").hexdigest(), b"weights") == (digest, get_blob(saver, digest))


def test_same_bytes_are_written_once(saver: FileSaver, tmp_path: Path) -> None:
    """
    Bytes that are there already are left alone.
    """
    file = tmp_path / blob_path(put_blob(saver, b"weights"))
    before = file.stat()
    put_blob(saver, b"weights")

    assert before.st_ino == file.stat().st_ino


@pytest.mark.parametrize("damaged", [b"", b"weightz", b"weights and more"])
def test_changed_bytes_are_refused(saver: FileSaver, tmp_path: Path, damaged: bytes) -> None:
    """
    Bytes that are not those that were put are never given out; the message names the file.
    """
    digest = put_blob(saver, b"weights")
    (tmp_path / blob_path(digest)).write_bytes(damaged)

    with pytest.raises(ArtifactCorrupt, match=rf"{digest}.*restore"):
        get_blob(saver, digest)


def test_lost_bytes_are_named(saver: FileSaver) -> None:
    """
    Bytes that are gone are an error that says which, and what to do.
    """
    with pytest.raises(ArtifactCorrupt, match=r"blobs/ab/abc.*missing.*restore"):
        get_blob(saver, "abc")


@pytest.mark.parametrize("damaged", [b"", b"weightz"])
def test_putting_again_mends(saver: FileSaver, tmp_path: Path, damaged: bytes) -> None:
    """
    Saving the same bytes again replaces what a disk has damaged.
    """
    digest = put_blob(saver, b"weights")
    (tmp_path / blob_path(digest)).write_bytes(damaged)
    put_blob(saver, b"weights")

    assert b"weights" == get_blob(saver, digest)
