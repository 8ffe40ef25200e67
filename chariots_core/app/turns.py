"""
Whose turn it is to run: threads that share an interpreter get in each other's way.
"""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final


class Turn:
    """
    The right to run, as long as it is not lost to another run.
    """

    __slots__ = ()


_LOST: Final = object()


class Turns:
    """
    So many runs at a time; the next one waits for its turn, but not for long.

    Short runs that compute are quicker one after the other than side by side,
    since they share one interpreter. A run that is not short, or that waits for
    something, must not keep others from running: whoever has waited for
    *patience* takes the turn that was taken first, whose run goes on without.

    Args:
        at_once: how many; ``None``: nobody waits.
        patience: seconds after which a turn is lost to one who waits.
    """

    def __init__(self, at_once: int | None, patience: float) -> None:
        self._patience = patience
        # of C all through, which the semaphores of Python are not
        self._free: SimpleQueue[Turn] | None = None
        self._taken: dict[Turn, object] = {}
        if at_once is not None:
            self._free = SimpleQueue()
            for _ in range(at_once):
                self._free.put(Turn())

    def take(self) -> Turn | None:
        """
        Wait for a turn.

        Returns:
            What to give back; ``None`` where nobody waits.
        """
        if self._free is None:
            return None
        try:
            turn = self._free.get(timeout=self._patience)
        except Empty:
            turn = self._claimed(self._free)
        self._taken[turn] = None
        return turn

    def give(self, turn: Turn | None) -> None:
        """
        Give a turn back, unless it was lost.
        """
        # one operation of the dictionary: of two who try, one succeeds
        if turn is None or self._free is None or self._taken.pop(turn, _LOST) is _LOST:
            return
        self._free.put(turn)

    def _claimed(self, free: SimpleQueue[Turn]) -> Turn:
        while True:
            for oldest in list(self._taken):
                if self._taken.pop(oldest, _LOST) is not _LOST:
                    return Turn()
            # all that were taken have been given back in this moment
            with suppress(Empty):
                return free.get_nowait()
