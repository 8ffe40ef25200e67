"""
When a request is sent again, and after how long.

Sending again is safe where the server cannot have seen the first request, and
where seeing it twice does no more than seeing it once: reading, and creating
under an idempotency key. A request that may have arrived before says so in the
header `REPEAT`: a server that finds no job under its key, because it runs the
pipeline in the request, refuses it then instead of running it twice.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Final, TypeAlias

import attrs

from chariots_core.client.answers import problem_name
from chariots_core.client.errors import ServerUnreachable
from chariots_core.client.transport import Reply, Request

#: The header field of a request that the server may have seen before.
REPEAT: Final = "Chariots-Repeat"

#: What comes of sending a request once.
Outcome: TypeAlias = Reply | ServerUnreachable

_LATER: Final = frozenset({429, 502, 503, 504})

#: Seconds that an answer gets where a request is sent as its time ends.
_LAST_CHANCE: Final = 0.25


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """
    How often a client tries in all, and how long it waits in between.

    Attributes:
        attempts: how many times a request is sent at most; 1: never again.
        first_delay: seconds before the second time; doubled for each further one.
        max_delay: seconds between two times at most, whatever the server asks for.
    """

    attempts: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    first_delay: float = 0.1
    max_delay: float = 5.0

    def delays(self) -> Iterator[float]:
        """
        The pauses between the attempts; exhausted when there are no more attempts.
        """
        for nth in range(self.attempts - 1):
            yield min(self.first_delay * 2**nth, self.max_delay)


@attrs.define
class Sending:
    """
    One request on its way, with its repeats: is told the outcome of each time
    that it was sent, and says whether it is sent again.

    Where the request has a time-out, it holds for all of that together.
    """

    _request: Request
    _policy: RetryPolicy
    _delays: Iterator[float] = attrs.field(init=False)
    _ends: float = attrs.field(init=False)
    #: the newest outcome that leaves open whether the request was carried out
    _open: Outcome | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._delays = self._policy.delays()
        timeout = self._request.timeout
        self._ends = math.inf if timeout is None else time.monotonic() + timeout

    @property
    def request(self) -> Request:
        """
        The request as it is to be sent now.
        """
        request = self._request
        if self._open is not None:
            request = attrs.evolve(request, headers={**request.headers, REPEAT: "true"})
        if request.timeout is not None:
            request = attrs.evolve(request, timeout=max(self._left(), _LAST_CHANCE))
        return request

    def pause_after(self, outcome: Outcome) -> float | None:
        """
        Seconds to wait before the request is sent again, or ``None`` if it is not.
        """
        if not _may_repeat(self._request, outcome) or self._left() <= 0:
            return None
        pause = next(self._delays, None)
        if pause is None:
            return None
        if isinstance(outcome, Reply):
            pause = min(max(pause, _asked_for(outcome)), self._policy.max_delay)
        if isinstance(outcome, Reply) or outcome.sent:
            self._open = outcome
        return min(pause, self._left())

    def result(self, outcome: Outcome) -> Reply:
        """
        What the caller gets, where *outcome* was the last.

        Raises:
            ServerUnreachable: no answer, however often it was sent.
        """
        if self._open is not None and _did_nothing(outcome):
            # that says nothing of the time before, of which the caller has to know
            outcome = self._open
        if isinstance(outcome, Reply):
            return outcome
        raise outcome

    def _left(self) -> float:
        return max(self._ends - time.monotonic(), 0.0)


def _may_repeat(request: Request, outcome: Outcome) -> bool:
    if isinstance(outcome, ServerUnreachable):
        return request.repeatable or not outcome.sent
    return outcome.status in _LATER and request.repeatable


def _did_nothing(outcome: Outcome) -> bool:
    if isinstance(outcome, ServerUnreachable):
        return not outcome.sent
    return outcome.status == 409 and problem_name(outcome) == "not-repeatable"


def _asked_for(reply: Reply) -> float:
    try:
        return float(reply.headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
