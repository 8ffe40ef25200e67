"""
What tells two processes of one app apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chariots_core.app import App
from chariots_core.app.neighbours import differences, place_of
from chariots_core.jobs.processes import ProcessRecord
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store.savers import FileSaver
from chariots_core.op_store.sql_store import LocalOpStoreClient
from chariots_core.op_store_http import OpStoreClient
from chariots_core.testing import TestOpStoreClient


def process(*pipelines: str, op_store: str = "x", op_store_id: str = "x") -> ProcessRecord:
    """
    A process with these pipelines.
    """
    return ProcessRecord(
        id="p", kind="web", pipelines=pipelines, op_store=op_store, op_store_id=op_store_id
    )


def local(url: str) -> LocalOpStoreClient:
    """
    A client of that database.
    """
    return LocalOpStoreClient(url, FileSaver("files"))


@pytest.mark.parametrize(
    ("mine", "other", "text"),
    [
        (process("a"), process("a"), ""),
        (process("a", "b"), process("a"), "pipelines only here: 'b'"),
        (process("a"), process("a", "b"), "pipelines only there: 'b'"),
        (
            process(*"abcdefg"),
            process(),
            "pipelines only here: 'a', 'b', 'c', 'd', 'e' and 2 more",
        ),
        (process(op_store_id=""), process(), ""),
        (process(op_store="y", op_store_id="y"), process(), "op store here: y, there: x"),
        (
            process(op_store_id="y"),
            process(),
            "op store here: x, there: x (another file of that name)",
        ),
    ],
)
def test_differences_in_words(mine: ProcessRecord, other: ProcessRecord, text: str) -> None:
    """
    Pipelines and op stores are compared; what is not known is no difference.
    """
    assert text == differences(mine, other)


def test_the_fingerprint_is_of_the_pipelines_and_the_op_store() -> None:
    """
    Processes of the same pipelines and op store have one fingerprint, whatever else they are.
    """
    one = ProcessRecord(id="a", kind="web", pid=1, pipelines=("a",), op_store_id="x")
    same = ProcessRecord(id="b", kind="worker", pid=2, pipelines=("a",), op_store_id="x")

    assert one.fingerprint == same.fingerprint
    assert one.fingerprint != process("b").fingerprint
    assert one.fingerprint != process("a", op_store_id="y").fingerprint


def test_a_file_is_itself_by_whatever_path(tmp_path: Path) -> None:
    """
    Two paths to one SQLite file are one op store; two files are two, and a file that was
    replaced is another one.
    """
    (tmp_path / "link").symlink_to(tmp_path)
    one = place_of(local(f"sqlite:///{tmp_path}/ops.db"))
    linked = place_of(local(f"sqlite:///{tmp_path}/link/ops.db"))
    other = place_of(local(f"sqlite:///{tmp_path}/other.db"))
    (tmp_path / "ops.db").rename(tmp_path / "old.db")
    replaced = place_of(local(f"sqlite:///{tmp_path}/ops.db"))

    assert one[1] == linked[1]
    assert 3 == len({one[1], other[1], replaced[1]})
    assert f"sqlite:///{tmp_path}/ops.db on host" in one[0]


def test_a_subclass_of_the_client_is_the_same_place(tmp_path: Path) -> None:
    """
    The class of the client does not matter.
    """
    assert place_of(TestOpStoreClient(tmp_path)) == place_of(
        local(f"sqlite:///{tmp_path}/op_store.db")
    )


@pytest.mark.parametrize(
    ("client", "place"),
    [
        (
            lambda: local("postgresql://me:secret@db/ops"),
            ("postgresql://me:***@db/ops", "db:5432/ops"),
        ),
        (
            lambda: local("postgresql://you@db:5432/ops"),
            ("postgresql://you@db:5432/ops", "db:5432/ops"),
        ),
        (lambda: OpStoreClient("http://me:secret@ops:5001"), ("http://ops:5001",) * 2),
    ],
)
def test_an_address_shows_no_password(client: Any, place: tuple[str, str]) -> None:
    """
    A server is told by its address, in which no password stands and no user counts.
    """
    assert place == place_of(client())


def test_an_unknown_client_is_compared_with_nothing() -> None:
    """
    The op store of a class that is not ours has no address that others would know.
    """

    class Own:
        pass

    own: BaseOpStoreClient = Own()  # type: ignore[assignment]

    assert ("", "") == place_of(own)


def test_what_goes_wrong_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A job store that cannot keep processes is no reason for an error.
    """
    pool = {"backend": "local", "url": f"sqlite:///{tmp_path}/jobs.db"}
    with App("shop", [], op_store=TestOpStoreClient(tmp_path), worker_pool=pool) as app:

        def refuse(*_: object, **__: object) -> None:
            raise RuntimeError("permission denied to create a table")

        monkeypatch.setattr(type(app.job_store), "report_process", refuse)
        monkeypatch.setattr(type(app.job_store), "processes", refuse)
        app.neighbours.report("web", "p")
        app.neighbours.compare()
        app.neighbours.leave("p")


def test_an_app_without_workers_reports_nothing(tmp_path: Path) -> None:
    """
    Without a backend there is no job store, and nobody to run the wrong jobs.
    """
    with App("shop", [], op_store=TestOpStoreClient(tmp_path)) as app:
        app.neighbours.report("web", "p")
        app.neighbours.compare()
        app.neighbours.leave("p")

    assert [] == list(tmp_path.iterdir())
