"""
When a worker is to stop.
"""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from chariots_core.workers.signals import ASK, ORDER, StopSignals
from tests.support import wait_until


def test_first_is_a_wish_second_an_order() -> None:
    """
    48: one SIGTERM asks, two order; each is told to whoever listens.
    """
    told: list[str] = []
    with StopSignals() as signals:
        signals.on_request = lambda: told.append("request")
        signals.on_order = lambda: told.append("order")
        assert (False, False) == (signals.requested, signals.ordered)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (True, False) == (signals.requested, signals.ordered)
        os.kill(os.getpid(), signal.SIGINT)
        assert (True, True) == (signals.requested, signals.ordered)
    assert ["request", "order"] == told


def test_grace_ends_in_an_order() -> None:
    """
    48: the grace begins with the wish, not before.
    """
    with StopSignals(grace=0.05) as signals:
        time.sleep(0.06)  # a grace that must not have begun
        assert not signals.ordered
        signals.request()
        assert not signals.ordered
        wait_until(lambda: signals.ordered, message="the end of the grace")


def test_end_of_the_parent_is_an_order() -> None:
    """
    61: the closed end of the lifeline orders a stop.
    """
    read, write = os.pipe()
    signals = StopSignals(lifeline=read)
    assert not signals.requested
    os.close(write)

    assert (True, True) == (signals.requested, signals.ordered)
    os.close(read)


def test_words_of_the_parent() -> None:
    """
    48: the parent asks as often as it likes, beside a signal, and it stays one request.
    """
    read, write = os.pipe()
    told: list[str] = []
    signals = StopSignals(lifeline=read)
    signals.on_request = lambda: told.append("request")
    signals.on_order = lambda: told.append("order")
    os.write(write, ASK + ASK)
    signals.request()
    assert (True, False, ["request"]) == (signals.requested, signals.ordered, told)
    os.write(write, ORDER)

    assert (True, True) == (signals.requested, signals.ordered)
    assert ["request", "order"] == told
    os.close(read)
    os.close(write)


def test_handlers_are_put_back() -> None:
    """
    What the process did on signals before, it does afterwards.
    """
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with StopSignals():
        assert before != [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]

    assert before == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    assert -1 == signal.set_wakeup_fd(-1)


def test_signal_ends_a_wait() -> None:
    """
    46: a wait is over as soon as a signal comes.
    """
    with StopSignals() as signals:
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        began = time.monotonic()
        assert [] == signals.wait(20.0)
        assert time.monotonic() - began < 10.0
        assert signals.requested
        timer.join()


def test_wait_tells_which_can_be_read() -> None:
    """
    A wait ends with the descriptors that can be read, else with none after its time.
    """
    read, write = os.pipe()
    with StopSignals() as signals:
        assert [] == signals.wait(0.01, [read])
        os.write(write, b"x")
        assert [read] == signals.wait(20.0, [read])
    os.close(read)
    os.close(write)


def test_no_wait_once_asked_to_stop() -> None:
    """
    A process that is to stop does not wait any more.
    """
    signals = StopSignals()
    signals.request()
    began = time.monotonic()
    signals.wait(20.0)

    assert time.monotonic() - began < 10.0


@pytest.mark.parametrize("count", [1, 2])
def test_outside_the_main_thread(count: int) -> None:
    """
    In another thread it handles no signals, and can be asked by a call.
    """
    seen: list[tuple[bool, bool]] = []

    def run() -> None:
        with StopSignals() as signals:
            for _ in range(count):
                signals.request()
            seen.append((signals.requested, signals.ordered))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

    assert [(True, count == 2)] == seen


@pytest.mark.parametrize(
    ("grace", "words"),
    [
        (None, "finishing job a1; Ctrl-C again ends it now\n"),
        (2.5, "finishing job a1 for at most 2.5 s; Ctrl-C again ends it now\n"),
    ],
)
def test_who_signals_is_told(
    grace: float | None, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    46: after a signal it is said what is being finished, from the handler itself.
    """
    with StopSignals(grace=grace) as signals:
        signals.on_request = lambda: signals.say_finishing("job a1")
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.requested

    assert words == capfd.readouterr().err


def test_a_parent_knows(capfd: pytest.CaptureFixture[str]) -> None:
    """
    46: a parent that asks is told nothing: whoever signals it hears of it there.
    """
    read, write = os.pipe()
    signals = StopSignals(lifeline=read)
    signals.on_request = lambda: signals.say_finishing("job a1")
    os.write(write, ASK)

    assert signals.requested
    assert "" == capfd.readouterr().err
    os.close(read)
    os.close(write)


def test_main_thread_heeds_while_another_waits() -> None:
    """
    A signal wakes the main thread, which handles it, and then the one that waits for work.
    """
    read, write = os.pipe()
    woken = threading.Event()
    with StopSignals() as signals:

        def wait_for_work() -> None:
            while not signals.requested:
                signals.wait(30.0)
            woken.set()

        thread = threading.Thread(target=wait_for_work)
        thread.start()
        os.kill(os.getpid(), signal.SIGTERM)
        signals.heed(30.0, read)

        assert woken.wait(5.0)
        thread.join()
        os.write(write, b".")
        signals.heed(30.0, read)
    os.close(read)
    os.close(write)


def test_heeding_without_signals_rests() -> None:
    """
    Where another thread than the main one is on watch, there are no signals to wait for,
    and it rests all the same.
    """
    read, write = os.pipe()
    began = time.monotonic()

    StopSignals().heed(0.2, read)

    assert time.monotonic() - began >= 0.2
    os.close(read)
    os.close(write)
