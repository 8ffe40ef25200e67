"""
The calls of the contract, as requests: one route for each method, by its name.

What a method takes and gives is read off `BaseOpStoreClient`. Bytes have routes
of their own, and no JSON around them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final, get_type_hints
from urllib.parse import urlencode

import attrs

from chariots_core.client.transport import Request
from chariots_core.op_store.client import BaseOpStoreClient
from chariots_core.op_store_http.forms import Form, Members, form_of
from chariots_core.strict_json import encode

#: Where all of it is on a server.
ROOT: Final = "/api/v1/op-store"

#: Where the bytes of one digest are.
BLOBS: Final = f"{ROOT}/blobs/"

#: Questions that fit into an address. The others are about any number of things.
_IN_THE_ADDRESS: Final = (
    "activations",
    "candidate",
    "known_pipelines",
    "links_between",
    "ping",
    "processes",
    "revision",
    "savings",
)
_IN_THE_BODY: Final = ("active_sets", "newest", "valid")
_CHANGES: Final = (
    "activate",
    "end_lease",
    "publish",
    "register",
    "register_name",
    "release",
    "report",
    "take_lease",
    "validate",
)

#: Changes of which two are no more than one.
_REPEATABLE: Final = frozenset(
    {"end_lease", "register", "register_name", "report", "take_lease", "validate"}
)


@attrs.frozen(kw_only=True)
class Call:
    """
    One method of the contract, on the wire.

    Attributes:
        name: the method's name.
        verb: ``GET`` or ``POST``.
        sent: its arguments, as a client writes them.
        read: its arguments, as a server reads them.
        answer: what it gives.
    """

    name: str
    verb: str
    sent: Members
    read: Members
    answer: Form

    @property
    def path(self) -> str:
        """
        Where it is on a server.
        """
        return f"{ROOT}/{self.name.replace('_', '-')}"

    def request(self, arguments: Mapping[str, Any], *, timeout: float | None = None) -> Request:
        """
        The request that has a server carry it out.

        What has its default is not sent: a server that does not know a newer
        argument misses it only where it is used.
        """
        plain = self.sent.to_wire(self.sent.without_defaults(arguments))
        if self.verb == "GET":
            told = {name: "null" if value is None else value for name, value in plain.items()}
            return Request(
                method="GET",
                path=f"{self.path}?{urlencode(told)}" if told else self.path,
                repeatable=True,
                timeout=timeout,
            )
        return Request(
            method="POST",
            path=self.path,
            body=encode(plain),
            repeatable=self._is_repeatable(plain),
            timeout=timeout,
        )

    def _is_repeatable(self, plain: Mapping[str, Any]) -> bool:
        if self.name == "publish":
            # a job's manifest is published once, however often it is sent
            return plain["manifest"]["job_id"] is not None
        return self.name in _REPEATABLE or self.name in _IN_THE_BODY


def _call(name: str, verb: str) -> Call:
    method = getattr(BaseOpStoreClient, name)
    hints = get_type_hints(method)
    answer = form_of(hints.pop("return"))
    defaults = {
        name: attrs.NOTHING if parameter.default is parameter.empty else parameter.default
        for name, parameter in inspect.signature(method).parameters.items()
        if name != "self"
    }
    return Call(
        name=name,
        verb=verb,
        sent=Members(hints, defaults, name, strict=False),
        read=Members(hints, defaults, name, strict=True),
        answer=answer,
    )


#: Every call, by the method's name.
CALLS: Final[Mapping[str, Call]] = {
    **{name: _call(name, "GET") for name in _IN_THE_ADDRESS},
    **{name: _call(name, "POST") for name in (*_IN_THE_BODY, *_CHANGES)},
}
