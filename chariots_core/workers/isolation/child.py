"""
The child's side: become a process of one's own, then run one job after another.
"""

from __future__ import annotations

import faulthandler
import gc
import io
import logging
import os
import socket
import sys
from typing import Final

from chariots_core.jobs.record import Progress
from chariots_core.workers.contracts import JobInput, OpenableApp, RunnerApp
from chariots_core.workers.isolation.board import ProgressBoard
from chariots_core.workers.isolation.failures import failure_of
from chariots_core.workers.isolation.unix import (
    die_with_parent,
    flush_output,
    take_over_signals,
    watch_parent,
)
from chariots_core.workers.isolation.wire import Channel, Frame, Raised, Ready, Returned, Start

logger = logging.getLogger(__name__)

#: Streams that a fork inherited: closing them would close descriptors in use.
_INHERITED: Final[list[object]] = []


def become_child(*, parent: int, control: int) -> None:
    """
    What both a forked and a spawned child do first.

    Args:
        parent: the process that made this one.
        control: the descriptor of the socket to it.
    """
    if not die_with_parent(parent):
        watch_parent(control)
    take_over_signals()


def leave_parent(*, output: int) -> None:
    """
    Give up what a forked child still shares with its parent.

    Args:
        output: the pipe that takes all output from here on.
    """
    _redirect(output)
    # The generator of `random` sees to itself.
    if (numpy_random := sys.modules.get("numpy.random")) is not None:
        numpy_random.seed()
    # What the parent made stays in pages shared with it: no collection touches it.
    gc.freeze()


def _redirect(output: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target, inheritable=True)
    os.close(null)
    _INHERITED.extend((sys.stdin, sys.stdout, sys.stderr))
    _INHERITED.extend((sys.__stdin__, sys.__stdout__, sys.__stderr__))
    sys.stdin = sys.__stdin__ = open(  # type: ignore[misc]  # noqa: SIM115  open for good
        0, encoding="utf-8", closefd=False
    )
    reopen_output()


def reopen_output() -> None:
    """
    New streams on the descriptors 1 and 2, flushed with each line: what a job
    printed before it was killed is kept.
    """
    _INHERITED.extend((sys.stdout, sys.stderr))
    sys.stdout = sys.__stdout__ = _writer(1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _writer(2)  # type: ignore[misc]
    faulthandler.enable(2)


def _writer(fd: int) -> io.TextIOWrapper:
    return open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def preload(app: RunnerApp) -> None:
    """
    Load the pipelines before a job asks for them, if the app can do that.

    Where it fails, jobs will meet the same trouble, and tell of it.
    """
    if not isinstance(app, OpenableApp):
        return
    try:
        app.open()
    except Exception as error:  # noqa: BLE001  ops are loaded: anything may be raised
        logger.warning(
            "app %r cannot load its pipelines ahead of a job: %s",
            app.name,
            error,
            extra={"action": "open_failed"},
        )


class JobServer:
    """
    Runs the jobs that come over a socket, until it is closed.

    Args:
        app: what runs them.
        control: the socket.
        board: where reports are written.
    """

    def __init__(self, app: RunnerApp, control: socket.socket, board: ProgressBoard) -> None:
        self._app = app
        self._channel = Channel(control)
        self._board = board
        self._pid = os.getpid()

    def get_ready(self) -> None:
        """
        Load what jobs need, and say so.
        """
        preload(self._app)
        flush_output()
        self._channel.send(Ready())

    def serve(self) -> None:
        """
        Run jobs until the other end is closed.
        """
        while (frame := self._channel.receive()) is not None:
            if isinstance(frame.header, Start):
                self._answer(self._run(frame.header, frame.body))

    def _run(self, start: Start, body: bytes) -> Frame:
        reporter = _Reporter(self._board)
        try:
            output = self._app.execute_job(
                JobInput(
                    job_id=start.job_id,
                    attempt=start.attempt,
                    pipeline=start.pipeline,
                    input_json=body.decode() if body else None,
                    input_ref=start.input_ref,
                    report=reporter,
                )
            )
            header = Returned(
                versions=dict(output.versions),
                manifest_json=output.manifest_json,
                value_ref=output.value_ref,
            )
            return Frame(header, output.value_json.encode())
        except BaseException as error:  # noqa: BLE001  whatever an op raises is its failure
            failure = failure_of(error)
            return Frame(
                Raised(reason=failure.reason, retryable=failure.retryable, error=failure.error)
            )
        finally:
            reporter.over = True

    def _answer(self, frame: Frame) -> None:
        flush_output()
        # An op may fork: a copy of this process that comes here is not the child.
        if os.getpid() != self._pid:
            os._exit(1)
        self._channel.send(frame.header, frame.body)


class _Reporter:
    """
    Writes the reports of one job. A thread that outlives the job reports in vain.
    """

    def __init__(self, board: ProgressBoard) -> None:
        self._board = board
        self.over = False

    def __call__(self, progress: Progress) -> None:
        if not self.over:
            self._board.write(progress)
