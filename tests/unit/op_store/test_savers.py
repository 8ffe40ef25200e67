"""
Places for bytes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from chariots_core.errors import StoreUnavailable
from chariots_core.op_store.savers import BaseSaver, FileSaver, FsspecSaver


@pytest.fixture(
    name="saver",
    params=[
        lambda folder: FileSaver(folder / "bytes"),
        lambda folder: FsspecSaver(f"file://{folder}/bytes"),
        lambda folder: FsspecSaver(f"memory://{folder}"),
    ],
    ids=["files", "fsspec files", "fsspec memory"],
)
def _saver(request: pytest.FixtureRequest, tmp_path: Path) -> BaseSaver:
    make: Callable[[Path], BaseSaver] = request.param
    return make(tmp_path)


def test_bytes_come_back(saver: BaseSaver) -> None:
    """
    What was saved under a path is loaded from it, empty bytes too.
    """
    saver.save(b"weights", "models/pca")
    saver.save(b"", "models/empty")

    assert (b"weights", b"", 7, 0) == (
        saver.load("models/pca"),
        saver.load("models/empty"),
        saver.size("models/pca"),
        saver.size("models/empty"),
    )


def test_saving_replaces(saver: BaseSaver) -> None:
    """
    The newer bytes stand in place of the older.
    """
    saver.save(b"old", "model")
    saver.save(b"newer", "model")

    assert (b"newer", 5) == (saver.load("model"), saver.size("model"))


def test_nothing_there(saver: BaseSaver) -> None:
    """
    A path without bytes has no size, and loading it says that there is no such file.
    """
    with pytest.raises(FileNotFoundError):
        saver.load("models/none")

    assert saver.size("models/none") is None


def test_readers_see_whole_bytes(saver: BaseSaver) -> None:
    """
    Who reads while others write sees one of the values, never a mixture or a part.
    """
    values = [bytes([number]) * 200_000 for number in range(4)]
    saver.save(values[0], "model")
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            for value in values:
                saver.save(value, "model")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {saver.load("model") for _ in range(50)}
    finally:
        over.set()
        writer.join()

    assert seen <= set(values)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_failed_write_leaves_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    When the disk fails in the middle of a write, the old bytes stay, and no rest of the new.
    """
    saver = FileSaver(tmp_path)
    saver.save(b"old", "models/pca")

    def fail(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreUnavailable, match=r"'models/pca'.*no space left.*has space"):
        saver.save(b"new", "models/pca")

    assert (b"old", ["models/pca"]) == (saver.load("models/pca"), files_in(tmp_path))


def test_process_killed_in_the_middle_leaves_the_old(tmp_path: Path) -> None:
    """
    A process that dies between writing and renaming leaves the old bytes in place.
    """
    saver = FileSaver(tmp_path)
    saver.save(b"old", "model")
    child = os.fork()
    if child == 0:
        Path.replace = lambda *_: os._exit(9)  # type: ignore[method-assign]
        saver.save(b"new", "model")
        os._exit(0)
    _, status = os.waitpid(child, 0)

    assert (9, b"old") == (os.waitstatus_to_exitcode(status), saver.load("model"))


def test_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """
    A place that is no folder is an error that names it and says what to check.
    """
    (tmp_path / "file").write_text("in the way")
    saver = FileSaver(tmp_path / "file")

    for use in (lambda: saver.save(b"x", "model"), lambda: saver.load("model")):
        with pytest.raises(StoreUnavailable, match=r"file.*check that the folder is there"):
            use()


def test_unknown_protocol_is_named() -> None:
    """
    An address that fsspec does not know is an error that names it.
    """
    with pytest.raises(StoreUnavailable, match="nowhere://bucket"):
        FsspecSaver("nowhere://bucket").load("model")


def test_making_one_touches_nothing(tmp_path: Path) -> None:
    """
    A saver makes its folder when it saves, and not before.
    """
    FileSaver(tmp_path / "bytes")
    FsspecSaver(f"file://{tmp_path}/other")

    assert [] == list(tmp_path.iterdir())


def test_options_reach_fsspec(tmp_path: Path) -> None:
    """
    What is given beside the address goes to the file system as it is.
    """
    saver = FsspecSaver(f"file://{tmp_path}", auto_mkdir=False)
    filesystem, _ = saver._at("x")

    assert filesystem.auto_mkdir is False


def test_an_address_is_shown_without_its_password() -> None:
    """
    Neither the repr nor an error of a saver shows the password of its address.
    """
    saver = FsspecSaver("nothing-of-the-kind://user:sekret@host/folder")
    with pytest.raises(StoreUnavailable) as caught:
        saver.load("model")

    assert "sekret" not in f"{saver!r} {caught.value}"
    assert "nothing-of-the-kind://***@host/folder" in repr(saver)


def test_relative_folder_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A relative folder is meant from where the process stood when the saver was made.
    """
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    saver = FileSaver("bytes")
    saver.save(b"first", "one")
    monkeypatch.chdir(tmp_path / "elsewhere")
    saver.save(b"second", "two")

    assert b"first" == saver.load("one")
    assert b"second" == (tmp_path / "bytes" / "two").read_bytes()
