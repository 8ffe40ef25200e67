"""
The small parts of isolation: frames, bounded texts, reports, exceptions as data.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chariots_core.errors import (
    ArtifactCorrupt,
    ChariotsError,
    ConfigurationError,
    NodeOutputError,
    NotJSONError,
    OpStoreError,
    PayloadTooLarge,
    PipelineError,
    PipelineNotFound,
    StoreUnavailable,
    TrainingInProgress,
    UntrustedArtifact,
    VersionError,
)
from chariots_core.jobs.record import JobError, Progress
from chariots_core.jobs.status import Reason
from chariots_core.pipelines.raised import Phase, set_node, set_phase
from chariots_core.workers.contracts import RunnerSettings
from chariots_core.workers.isolation.board import ProgressBoard
from chariots_core.workers.isolation.failures import describe, failure_of
from chariots_core.workers.isolation.texts import BoundedText, bounded
from chariots_core.workers.isolation.unix import describe_exit, has_ended, rss_bytes
from chariots_core.workers.isolation.wire import (
    Broken,
    Channel,
    Frame,
    FrameReader,
    Header,
    Hello,
    Raised,
    Ready,
    Returned,
    Start,
    WireError,
    pack,
)

ERROR = JobError(type="KeyError", message="'a'", node="n", traceback="Traceback …")
HEADERS: list[Header] = [
    Hello(app_spec="a:b", path=["", "/x"], python_path=None),
    Ready(),
    Broken(error=ERROR),
    Start(job_id="j", attempt=2, pipeline="p", input_ref="ref"),
    Returned(versions={"n": "1.2.3"}, manifest_json='{"a": 1}', value_ref=None),
    Raised(reason="user_error", retryable=True, error=ERROR),
]

# -- frames


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: type(header).__name__)
def test_frame_round_trip(header: Header) -> None:
    """
    Each kind of message arrives as it was sent, and its body is not touched.
    """
    reader = FrameReader()
    reader.feed(pack(header, b'{"not": parsed'))

    assert Frame(header, b'{"not": parsed') == reader.next()
    assert reader.next() is None


@given(
    bodies=st.lists(st.binary(max_size=200), max_size=5),
    sizes=st.lists(st.integers(min_value=1, max_value=50), min_size=1),
)
def test_frames_in_pieces(bodies: list[bytes], sizes: list[int]) -> None:
    """
    Frames come out whole and in order, however their bytes are cut.
    """
    data = b"".join(pack(Ready(), body) for body in bodies)
    reader = FrameReader()
    found: list[Frame] = []
    turn = 0
    while data:
        size = sizes[turn % len(sizes)]
        turn += 1
        reader.feed(data[:size])
        data = data[size:]
        while (frame := reader.next()) is not None:
            found.append(frame)

    assert [Frame(Ready(), body) for body in bodies] == found


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 100,
        b"\x00\x00\x00\x02" + b"\x00" * 8 + b"{}",
        b"\x00\x00\x00\x05" + b"\x00" * 8 + b"hello",
        pack(Ready()).replace(b"ready", b"reedy"),
    ],
    ids=["too large", "no kind", "no JSON", "unknown kind"],
)
def test_garbage_is_refused(data: bytes) -> None:
    """
    Bytes that are no frame are an error, not a wait without end.
    """
    reader = FrameReader()
    reader.feed(data)

    with pytest.raises(WireError):
        reader.next()


def test_channel_waits_for_whole_frames() -> None:
    """
    The child's end gives whole frames, and None once the other end is closed.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(theirs)
        data = pack(Ready(), b"x" * 1_000_000)
        sender = threading.Thread(target=ours.sendall, args=(data,))
        sender.start()

        assert Frame(Ready(), b"x" * 1_000_000) == channel.receive()

        sender.join()
        ours.close()
        assert channel.receive() is None


# -- bounded texts


@given(pieces=st.lists(st.binary(max_size=40)), limit=st.integers(min_value=0, max_value=60))
def test_bounded_text(pieces: list[bytes], limit: int) -> None:
    """
    What fits is kept as it is; of the rest, the beginning and the end, and how much is cut.
    """
    pieces = [piece.translate(None, bytes(range(128, 256)) + b"\0") for piece in pieces]
    whole = b"".join(pieces).decode()
    text = BoundedText(limit)
    for piece in pieces:
        text.feed(piece)

    if len(whole) <= limit:
        assert whole == str(text)
    else:
        head, tail = limit - limit // 2, limit // 2
        cut = len(whole) - limit
        end = whole[-tail:] if tail else ""
        assert f"{whole[:head]}\n[... {cut} bytes cut ...]\n{end}" == str(text)


def test_bounded_text_is_fit_for_any_store() -> None:
    """
    NULs and lone surrogates, which some stores refuse, are shown in another way.
    """
    assert "a␀b \\ud800 ü" == bounded("a\0b \ud800 ü", 100)


# -- reports


@pytest.fixture(name="board")
def _board() -> Iterator[ProgressBoard]:
    board = ProgressBoard.create()
    yield board
    board.close()


def test_board(board: ProgressBoard) -> None:
    """
    A reader gets each report once, and only the newest.
    """
    assert board.read() is None
    board.write(Progress(done=1, total=3))
    board.write(Progress(done=2, total=3, node="n", message="m"))
    assert Progress(done=2, total=3, node="n", message="m") == board.read()
    assert board.read() is None
    board.clear()
    assert board.read() is None


def test_board_bounds_its_texts(board: ProgressBoard) -> None:
    """
    A long message is cut, and the report is still there.
    """
    board.write(Progress(done=1, message="ü" * 100_000, node="n" * 100_000))

    report = board.read()
    assert report is not None
    assert report.message is not None
    assert "bytes cut" in report.message
    assert report.node is not None
    assert "bytes cut" in report.node


def test_board_is_never_read_half_written(board: ProgressBoard) -> None:
    """
    A reader beside a writer in another process sees whole reports only, in order.
    """
    pid = os.fork()
    if pid == 0:
        for done in range(20_000):
            board.write(Progress(done=done, message="x" * (done % 100)))
        os._exit(0)
    seen: list[float] = []
    while not has_ended(pid):
        report = board.read()
        if report is not None:
            assert len(report.message or "") == report.done % 100
            seen.append(report.done)
    os.waitpid(pid, 0)
    last = board.read()

    assert sorted(set(seen)) == seen
    assert 19_999 == (seen[-1] if last is None else last.done)


# -- exceptions as data


def raised(error: BaseException, node: str | None = None) -> BaseException:
    if node is not None:
        set_node(error, node)
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "reason", "retryable"),
    [
        (ValueError("x"), Reason.USER_ERROR, True),
        (NotJSONError("nan", path="$"), Reason.RESULT_NOT_SERIALIZABLE, False),
        (PayloadTooLarge("11 MB"), Reason.RESULT_TOO_LARGE, False),
        (VersionError("old"), Reason.VERSION_CONFLICT, False),
        (StoreUnavailable("down"), Reason.STORE_UNAVAILABLE, True),
        (OpStoreError("no"), Reason.MODEL_UNAVAILABLE, False),
        (ArtifactCorrupt("gone"), Reason.MODEL_UNAVAILABLE, False),
        (UntrustedArtifact("pickle"), Reason.MODEL_UNAVAILABLE, False),
        (TrainingInProgress("elsewhere"), Reason.TRAINING_IN_PROGRESS, True),
        (PipelineNotFound("p"), Reason.FRAMEWORK_ERROR, False),
        (ConfigurationError("x"), Reason.FRAMEWORK_ERROR, False),
        (ChariotsError("x"), Reason.FRAMEWORK_ERROR, False),
    ],
)
def test_reasons(error: BaseException, reason: str, retryable: bool) -> None:
    """
    What went wrong outside of the ops has its own reason, and is tried again
    only where that may help.
    """
    failure = failure_of(raised(error))

    assert (reason, retryable) == (failure.reason, failure.retryable)


@pytest.mark.parametrize(
    "error", [NotJSONError("nan"), VersionError("old"), PayloadTooLarge("x"), StoreUnavailable("y")]
)
def test_errors_of_ops_are_the_users(error: BaseException) -> None:
    """
    One of our own errors that an op raised is a failure of the op.
    """
    failure = failure_of(raised(error, node="n"))

    assert (Reason.USER_ERROR, "n") == (failure.reason, failure.error.node)


@pytest.mark.parametrize(
    ("error", "reason", "retryable"),
    [
        (PipelineError("takes no input"), Reason.USER_ERROR, False),
        (NodeOutputError("two outputs, not one", node="n"), Reason.USER_ERROR, False),
        (VersionError("old"), Reason.USER_ERROR, True),
        (OpStoreError("no"), Reason.USER_ERROR, True),
        (StoreUnavailable("down"), Reason.USER_ERROR, True),
        (ChariotsError("x"), Reason.USER_ERROR, True),
        (OSError("x"), Reason.USER_ERROR, True),
        (NotJSONError("nan", path="$"), Reason.RESULT_NOT_SERIALIZABLE, False),
    ],
)
def test_errors_of_the_run_are_the_users(
    error: BaseException, reason: str, retryable: bool
) -> None:
    """
    What the guarded run raised outside of a node, a callback say, is the user's, whatever
    its class.
    """
    set_phase(error, Phase.run)
    failure = failure_of(raised(error))

    assert (reason, retryable, None) == (failure.reason, failure.retryable, failure.error.node)


@pytest.mark.parametrize(
    ("error", "reason", "retryable"),
    [
        (OpStoreError("cannot be saved"), Reason.PUBLICATION_FAILED, False),
        (PayloadTooLarge("a model of 3 GB"), Reason.PUBLICATION_FAILED, False),
        (TrainingInProgress("elsewhere"), Reason.TRAINING_IN_PROGRESS, True),
        (StoreUnavailable("down"), Reason.STORE_UNAVAILABLE, True),
    ],
)
def test_errors_of_saving_have_their_reason(
    error: BaseException, reason: str, retryable: bool
) -> None:
    """
    What went wrong as models were saved is not a result that is too large, or a model
    that cannot be loaded.
    """
    set_phase(error, Phase.staging)
    failure = failure_of(raised(error))

    assert (reason, retryable) == (failure.reason, failure.retryable)


class Silent(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize("node", [None, "n"])
def test_errors_that_answer_nothing_are_described(node: str | None) -> None:
    """
    An error whose attributes raise is a failure like any other.
    """
    failure = failure_of(raised(Silent("x"), node=node))

    assert (Reason.USER_ERROR, node, "x") == (
        failure.reason,
        failure.error.node,
        failure.error.message,
    )
    assert failure.error.type.endswith("Silent")


def test_chained_errors_and_notes_are_shown() -> None:
    """
    The traceback tells the cause and the notes.
    """
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error
    except ValueError as error:
        error.add_note("in node 'n' of pipeline 'p'")
        found = describe(error)

    assert found.traceback is not None
    assert "KeyError: 'inner'" in found.traceback
    assert "in node 'n' of pipeline 'p'" in found.traceback
    assert ("ValueError", "outer") == (found.type, found.message)


# -- the operating system


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: os._exit(0), "exit code 0"),
        (lambda: os._exit(255), "exit code 255"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by signal 9 (SIGKILL)"),
        (lambda: os.kill(os.getpid(), 40), "killed by signal 40 (unknown)"),
    ],
)
def test_exits_in_words(act: Any, message: str) -> None:
    """
    The way a process ended is told in words.
    """
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(1)

    assert message == describe_exit(os.waitpid(pid, 0)[1])


def test_memory_of_a_process() -> None:
    """
    The resident memory of a process is known; that of none is not.
    """
    own = rss_bytes(os.getpid())

    assert own is not None
    assert own > 10_000_000
    assert rss_bytes(2**22 + 1) is None


# -- settings


@pytest.mark.parametrize(
    "options",
    [
        {"isolation": "cold"},
        {"start_method": "forkserver"},
        {"lease": 0},
        {"max_jobs": 0},
        {"progress_interval": 0},
        {"output_limit": -1},
    ],
    ids=str,
)
def test_settings_that_cannot_work(options: dict[str, Any]) -> None:
    """
    Settings that cannot work are refused where they are made, by name.
    """
    with pytest.raises(ValueError, match=next(iter(options))):
        RunnerSettings(**options)


@pytest.mark.parametrize(("lease", "interval"), [(15.0, 2.0), (3.0, 1.0), (0.6, 0.2)])
def test_renewals_come_well_before_the_end(lease: float, interval: float) -> None:
    """
    A lease is renewed at least three times as often as it ends, and every two seconds.
    """
    assert interval == pytest.approx(RunnerSettings(lease=lease).renew_interval)
