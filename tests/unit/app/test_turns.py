"""
Turns: short runs one after the other, and nobody waits for long.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from chariots_core.app.turns import Turns


def started(run: Callable[[], Any]) -> threading.Thread:
    """
    A thread that runs.
    """
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_without_a_bound_nobody_waits() -> None:
    """
    Without a number there is no turn to take or give.
    """
    turns = Turns(None, 10.0)

    assert [None, None] == [turns.take(), turns.take()]
    turns.give(None)


def test_a_turn_that_is_given_back_is_taken() -> None:
    """
    Who waits goes on as soon as another one has given its turn back.
    """
    turns = Turns(1, 30.0)
    first = turns.take()
    taken: list[object] = []
    waiting = started(lambda: taken.append(turns.take()))
    assert [] == taken

    turns.give(first)
    waiting.join(10.0)

    assert [first] == taken


def test_a_turn_is_lost_to_who_has_waited() -> None:
    """
    Who has waited long enough takes over the turn, and the slow one has none to give back.
    """
    turns = Turns(1, 0.05)
    slow = turns.take()

    began = time.monotonic()
    quick = turns.take()
    waited = time.monotonic() - began
    turns.give(slow)

    assert quick is not slow
    assert waited >= 0.05
    turns.give(quick)
    assert quick is turns.take()


def test_after_one_wait_the_others_go_on() -> None:
    """
    While one run takes long, the others wait for each other only: the long one counts no more.
    """
    turns = Turns(1, 0.2)
    slow = turns.take()
    turns.give(turns.take())

    began = time.monotonic()
    for _ in range(100):
        turns.give(turns.take())

    assert time.monotonic() - began < 0.2
    turns.give(slow)


def test_so_many_at_once() -> None:
    """
    As many turns as asked for can be taken without waiting, and not one more.
    """
    turns = Turns(2, 30.0)
    held = [turns.take(), turns.take()]
    taken: list[object] = []
    waiting = started(lambda: taken.append(turns.take()))
    assert [] == taken

    turns.give(held[1])
    waiting.join(10.0)

    assert [held[1]] == taken


def test_no_turn_gets_lost_or_doubled() -> None:
    """
    After many runs, some of them slow, there are as many turns as in the beginning.
    """
    turns = Turns(2, 0.001)
    running, most = 0, 0
    lock = threading.Lock()

    def run() -> None:
        nonlocal running, most
        for number in range(60):
            turn = turns.take()
            with lock:
                running += 1
                most = max(most, running)
            if number % 10 == 0:
                time.sleep(0.003)
            with lock:
                running -= 1
            turns.give(turn)

    for thread in [started(run) for _ in range(8)]:
        thread.join(20.0)

    assert most >= 2
    assert turns._free is not None
    assert (2, {}) == (turns._free.qsize(), turns._taken)
