"""
When a request is sent again, and after how long.

Sending again is safe where the server cannot have seen the first request, and
where seeing it twice does no more than seeing it once: reading, and creating
under an idempotency key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import attrs

from chariots_core.client.errors import ServerUnreachable
from chariots_core.client.transport import Reply, Request

_LATER: Final = frozenset({429, 502, 503, 504})


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


def pause_before_retry(
    policy: RetryPolicy,
    delays: Iterator[float],
    request: Request,
    outcome: Reply | ServerUnreachable,
) -> float | None:
    """
    Seconds to wait before *request* is sent again, or ``None`` if it is not.
    """
    if not _may_repeat(request, outcome):
        return None
    pause = next(delays, None)
    if pause is None or isinstance(outcome, ServerUnreachable):
        return pause
    return min(max(pause, _asked_for(outcome)), policy.max_delay)


def _may_repeat(request: Request, outcome: Reply | ServerUnreachable) -> bool:
    if isinstance(outcome, ServerUnreachable):
        return request.repeatable or not outcome.sent
    return outcome.status in _LATER and request.repeatable


def _asked_for(reply: Reply) -> float:
    try:
        return float(reply.headers.get("retry-after", "0"))
    except ValueError:
        return 0.0
