"""
Where bytes are kept: folders, and whatever else fsspec reaches.

A saver keeps bytes under a path, whole or not at all. It knows nothing of ops,
versions or digests; `chariots_core.op_store.blobs` builds on it.
"""

from __future__ import annotations

import os
import re
import secrets
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Final

from chariots_core.errors import StoreUnavailable

#: What an address may hold of its user: with a password, or a token alone.
_SECRETS: Final = re.compile(r"(?P<scheme>[a-z0-9+.-]+://)[^/@]*@", re.IGNORECASE)

__all__ = ["BaseSaver", "FileSaver", "FsspecSaver"]


class BaseSaver(ABC):
    """
    The contract of a place for bytes. Implementations are thread-safe and fork-safe.

    Making one does no input or output.
    """

    @abstractmethod
    def save(self, data: bytes, path: str) -> None:
        """
        Keep *data* under *path*, a relative path with ``/``, in place of what was there.

        A reader sees the old bytes or the new ones, never a part; a process
        that dies in the middle leaves the old ones.

        Raises:
            StoreUnavailable: they cannot be kept.
        """

    @abstractmethod
    def load(self, path: str) -> bytes:
        """
        The bytes under *path*.

        Raises:
            FileNotFoundError: there are none.
            StoreUnavailable: the place cannot be reached.
        """

    @abstractmethod
    def size(self, path: str) -> int | None:
        """
        How many bytes are under *path*; ``None`` where there is nothing.

        Raises:
            StoreUnavailable: the place cannot be reached.
        """


class FileSaver(BaseSaver):
    """
    Bytes in files of a folder, which is made when it is first needed.

    >>> saver = FileSaver(tmp_path)
    >>> saver.save(b"weights", "models/pca")
    >>> saver.load("models/pca")
    b'weights'

    Args:
        root_path: the folder; processes that share the store must all reach it.
            A relative one is meant from where the process stands now.
    """

    def __init__(self, root_path: str | os.PathLike[str]) -> None:
        # as the address of a database: a later change of folder changes nothing
        self.root_path = Path(root_path).absolute()

    def __repr__(self) -> str:
        return f"FileSaver({str(self.root_path)!r})"

    # The operating system is asked directly: fsspec's local files are not
    # forced to the disk before they are renamed, and its import takes longer
    # than starting the rest of the store.

    def save(self, data: bytes, path: str) -> None:
        target = self.root_path / path
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                _write_through(temporary, data)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(target.parent)
        except OSError as error:
            raise self._unavailable("write", path, error) from error

    def load(self, path: str) -> bytes:
        try:
            return (self.root_path / path).read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unavailable("read", path, error) from error

    def size(self, path: str) -> int | None:
        try:
            return (self.root_path / path).stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unavailable("read", path, error) from error

    def _unavailable(self, verb: str, path: str, error: OSError) -> StoreUnavailable:
        return StoreUnavailable(
            f"cannot {verb} {path!r} in folder {str(self.root_path)!r}: {error}; "
            "check that the folder is there, has space, and may be written by this process"
        )


def _write_through(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # a rename is in the folder, so it is the folder that must reach the disk
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FsspecSaver(BaseSaver):
    """
    Bytes in anything that fsspec reaches: ``memory://``, ``s3://``, ``gs://``, ….

    A saver for one cloud is a thin subclass that makes the address.

    Args:
        url: the address of a folder or bucket.
        storage_options: given to fsspec as they are: credentials, end-points.
    """

    #: Protocols that show an object only once it is whole; elsewhere it is
    #: written beside its place and renamed.
    WHOLE_OBJECTS: ClassVar[frozenset[str]] = frozenset(
        {"abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "s3", "s3a"}
    )

    def __init__(self, url: str, **storage_options: Any) -> None:
        self.url = url
        self._shown = _SECRETS.sub(r"\g<scheme>***@", url)
        self._storage_options = storage_options

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shown!r})"

    def save(self, data: bytes, path: str) -> None:
        filesystem, place = self._at(path)
        try:
            filesystem.makedirs(place.rpartition("/")[0], exist_ok=True)
            if self.url.partition("://")[0] in self.WHOLE_OBJECTS:
                filesystem.pipe_file(place, data)
                return
            temporary = f"{place}.{secrets.token_hex(8)}"
            filesystem.pipe_file(temporary, data)
            filesystem.mv(temporary, place)
        except OSError as error:
            raise self._unavailable("write", path, error) from error

    def load(self, path: str) -> bytes:
        filesystem, place = self._at(path)
        try:
            return bytes(filesystem.cat_file(place))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unavailable("read", path, error) from error

    def size(self, path: str) -> int | None:
        filesystem, place = self._at(path)
        try:
            filesystem.invalidate_cache()
            return int(filesystem.size(place))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unavailable("read", path, error) from error

    def _at(self, path: str) -> tuple[Any, str]:
        # asked for anew each time: fsspec keeps file systems by process, so a
        # forked child gets its own connections
        from fsspec.core import url_to_fs

        try:
            filesystem, root = url_to_fs(self.url, **self._storage_options)
        except (ImportError, ValueError) as error:
            raise StoreUnavailable(
                f"address {self._shown!r} for bytes cannot be opened: {error}"
            ) from error
        return filesystem, f"{root.rstrip('/')}/{path}"

    def _unavailable(self, verb: str, path: str, error: OSError) -> StoreUnavailable:
        return StoreUnavailable(
            f"cannot {verb} {path!r} at {self._shown!r}: {error}; "
            "check the address, the credentials and the network"
        )
