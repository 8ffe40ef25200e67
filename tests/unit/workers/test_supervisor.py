"""
Processes that are kept alive, and taken along at the end.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chariots_core.server.children import Forked
from chariots_core.workers.process import EXIT_OK, EXIT_UNFINISHED
from chariots_core.workers.signals import StopSignals
from chariots_core.workers.supervisor import ChildFailed, Slot, Supervisor
from tests.support import process_alive

Run = Callable[[Callable[[], None]], int]


def obedient(say_ready: Callable[[], None]) -> int:
    """
    Ends when it is asked to.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    say_ready()
    try:
        time.sleep(60)
    except SystemExit:
        return EXIT_OK
    return 1


def stubborn(say_ready: Callable[[], None]) -> int:
    """
    Does not listen.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say_ready()
    time.sleep(60)
    return EXIT_OK


def slots_of(pids: list[int], *runs: Run) -> list[Slot]:
    """
    A slot for each function; the processes are noted in *pids*.
    """

    def starter(run: Run) -> Callable[[], Forked]:
        def start() -> Forked:
            child = Forked(run)
            pids.append(child.pid)
            return child

        return start

    return [Slot(run.__name__, starter(run)) for run in runs]


@pytest.fixture(autouse=True)
def _short_last_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chariots_core.workers.supervisor.LAST_GRACE", 0.3)


def test_all_end_when_asked() -> None:
    """
    46: those that end when they are asked to give exit code 0, and none is left.
    """
    pids: list[int] = []
    signals = StopSignals()

    assert EXIT_OK == Supervisor(slots_of(pids, obedient, obedient), signals=signals).run(
        signals.request
    )
    assert 2 == len(pids)
    assert not any(map(process_alive, pids))


def test_what_does_not_end_is_killed() -> None:
    """
    48: what outlasts the grace is killed, and the exit code tells.
    """
    pids: list[int] = []
    signals = StopSignals(grace=0.1)

    assert EXIT_UNFINISHED == Supervisor(slots_of(pids, stubborn, obedient), signals=signals).run(
        signals.request
    )
    assert not any(map(process_alive, pids))


def test_one_that_cannot_begin() -> None:
    """
    One that ends by itself before it is ready is an error; the others are stopped.
    """
    pids: list[int] = []

    def hopeless(_: Callable[[], None]) -> int:
        return 7

    with pytest.raises(ChildFailed, match=r"hopeless .*exit code 7"):
        Supervisor(slots_of(pids, obedient, hopeless), signals=StopSignals()).run(lambda: None)
    assert not any(map(process_alive, pids))


def test_killed_before_it_was_ready(tmp_path: Path) -> None:
    """
    One that something else killed at its start gets another chance.
    """
    pids: list[int] = []
    mark = tmp_path / "killed"

    def killed_once(say_ready: Callable[[], None]) -> int:
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return obedient(say_ready)

    signals = StopSignals()
    supervisor = Supervisor(slots_of(pids, killed_once), signals=signals, pause=(0.01, 0.01))

    assert EXIT_OK == supervisor.run(signals.request)
    assert 2 == len(pids)


def test_ready_is_told_until_it_is_heard() -> None:
    """
    The word that all are ready is repeated while it is answered by false.
    """
    pids: list[int] = []
    signals = StopSignals()
    told: list[int] = []

    def hear() -> bool:
        told.append(len(pids))
        if len(told) == 3:
            signals.request()
        return len(told) == 3

    assert EXIT_OK == Supervisor(slots_of(pids, obedient), signals=signals).run(hear)
    assert [1, 1, 1] == told


def test_what_takes_long_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    46: who waits for the end of others says so once; who need not wait says nothing.
    """
    monkeypatch.setattr("chariots_core.workers.supervisor._SAY_AFTER", 0.05)
    signals = StopSignals(grace=0.5)
    Supervisor(slots_of([], stubborn), signals=signals).run(signals.request)
    assert (
        "finishing what is under way for at most 0.5 s; Ctrl-C again ends it now\n"
        == capfd.readouterr().err
    )
    monkeypatch.setattr("chariots_core.workers.supervisor._SAY_AFTER", 20.0)
    signals = StopSignals()
    Supervisor(slots_of([], obedient), signals=signals).run(signals.request)

    assert "" == capfd.readouterr().err
