"""
What a client raises when the trouble is the way to the server, or the request itself.

What the server itself reports comes back as the class of `chariots_core.errors`
that the server met.

.. code-block:: text

    ClientError
    ├── ServerUnreachable   no answer: refused, unknown host, connection lost
    ├── ServerTimeout       no answer in time (a TimeoutError)
    ├── RequestRejected     the server found the request wrong
    ├── ServerFault         the server met a fault of its own
    └── UnexpectedAnswer    an answer that is not Chariots'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from chariots_core.errors import ClientError


class ServerUnreachable(ClientError):
    """
    The server gave no answer.

    Attributes:
        url: what was asked.
        sent: whether the request may have reached the server all the same.
    """

    code: ClassVar[str] = "server-unreachable"

    def __init__(self, message: str, *, url: str, sent: bool) -> None:
        super().__init__(message)
        self.url = url
        self.sent = sent


class ServerTimeout(ServerUnreachable, TimeoutError):
    """
    The server gave no answer in time.
    """

    code = "server-timeout"


class RequestRejected(ClientError):
    """
    The server found the request itself wrong, and did nothing.

    Attributes:
        status: the answer's status code.
        slug: the short name of the problem, e.g. ``"validation-error"``.
        errors: one mapping for each member at fault, with ``pointer`` and ``detail``.
    """

    code = "request-rejected"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        slug: str,
        errors: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.slug = slug
        self.errors = tuple(errors)


class ServerFault(ClientError):
    """
    The server met a fault of its own. Whether it did what was asked is not known;
    its log has the fault.

    Attributes:
        status: the answer's status code.
        slug: the short name of the problem, e.g. ``"internal-error"``.
    """

    code = "server-fault"

    def __init__(self, message: str, *, status: int, slug: str) -> None:
        super().__init__(message)
        self.status = status
        self.slug = slug


class UnexpectedAnswer(ClientError):
    """
    What answered does not speak the language of a Chariots server.

    Attributes:
        url: what was asked.
        status: the answer's status code.
    """

    code = "unexpected-answer"

    def __init__(self, message: str, *, url: str, status: int) -> None:
        super().__init__(message)
        self.url = url
        self.status = status
