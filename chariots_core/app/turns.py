"""
Whose turn it is to run: threads that share an interpreter get in each other's way.
"""

from __future__ import annotations

from queue import Empty, SimpleQueue


class Turns:
    """
    So many runs at a time; the next one waits for its turn, but not for long.

    Short runs that compute are quicker one after the other than side by side,
    since they share one interpreter. A run that is not short, or that waits for
    something, must not keep others from running: after *patience* they go ahead.

    Args:
        at_once: how many; ``None``: nobody waits.
        patience: seconds after which a run goes ahead without its turn.
    """

    def __init__(self, at_once: int | None, patience: float) -> None:
        self._patience = patience
        self._tokens: SimpleQueue[None] | None = None
        if at_once is not None:
            # of C all through, which the semaphores of Python are not
            self._tokens = SimpleQueue()
            for _ in range(at_once):
                self._tokens.put(None)

    def take(self) -> bool:
        """
        Wait for a turn.

        Returns:
            Whether there is one to give back.
        """
        if self._tokens is None:
            return False
        try:
            self._tokens.get(timeout=self._patience)
        except Empty:
            return False
        return True

    def give(self, taken: bool) -> None:
        """
        Give a turn back, if *taken*.
        """
        if taken and self._tokens is not None:
            self._tokens.put(None)
