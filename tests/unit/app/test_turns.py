"""
Turns: short runs one after the other, and nobody waits for long.
"""

from __future__ import annotations

import threading
import time

from chariots_core.app.turns import Turns


def test_without_a_bound_nobody_waits() -> None:
    """
    Without a number there is no turn to take or give.
    """
    turns = Turns(None, 10.0)

    assert [False, False] == [turns.take(), turns.take()]


def test_a_turn_that_is_given_back_is_taken() -> None:
    """
    Who waits goes on as soon as another one has given its turn back.
    """
    turns = Turns(1, 30.0)
    assert turns.take()
    taken: list[bool] = []
    waiting = threading.Thread(target=lambda: taken.append(turns.take()))
    waiting.start()
    assert [] == taken

    turns.give(True)
    waiting.join(10.0)

    assert [True] == taken


def test_patience_ends() -> None:
    """
    Who has waited long enough goes ahead without a turn, and gives none back.
    """
    turns = Turns(1, 0.01)
    assert turns.take()

    began = time.monotonic()
    ahead = turns.take()
    turns.give(ahead)

    assert not ahead
    assert time.monotonic() - began >= 0.01
    assert not turns.take()


def test_so_many_at_once() -> None:
    """
    As many turns as asked for can be taken.
    """
    turns = Turns(2, 0.0)

    assert [True, True, False] == [turns.take() for _ in range(3)]
