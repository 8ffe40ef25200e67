"""
Answers of an op store server, read: what the contract gives, or its errors.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import msgspec

from chariots_core.client.answers import read_object
from chariots_core.client.errors import UnexpectedAnswer
from chariots_core.client.transport import Reply
from chariots_core.op_store_http.forms import Form

_OK: Final = 200


class ResultReader:
    """
    Reads answers of one kind.

    Args:
        form: of what they give.
    """

    def __init__(self, form: Form) -> None:
        self._form = form
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            msgspec.defstruct("Answer", [("result", form.wire)])
        )

    def __call__(self, reply: Reply) -> Any:
        """
        What the answer gives.

        Raises:
            ChariotsError: what the server met; or it is no answer of such a server.
        """
        if reply.status != _OK:
            _raise(reply)
        try:
            return self._form.from_wire(self._decoder.decode(reply.content).result)
        except (ValueError, OverflowError) as error:
            # msgspec's errors are ValueErrors
            raise _unexpected(reply, f"is not what was asked for ({error})") from error


def read_bytes(reply: Reply) -> bytes:
    """
    The body of an answer that is bytes.

    Raises:
        ChariotsError: what the server met; or it is no answer of such a server.
    """
    if reply.status != _OK:
        _raise(reply)
    return reply.content


def _raise(reply: Reply) -> NoReturn:
    # raises the error where there is one
    read_object(reply)
    raise _unexpected(reply, "says neither that it was done nor why not")


def _unexpected(reply: Reply, what: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"the answer of {reply.url} (status {reply.status}) {what}: "
        "is this the address of an op store server of this release?",
        url=reply.url,
        status=reply.status,
    )
