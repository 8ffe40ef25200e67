"""
A process of an app, with the facts in which processes of one app must agree.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import attrs

from chariots_core.jobs.record import storable_text


@attrs.frozen(kw_only=True)
class ProcessRecord:
    """
    A process that works for an app, as it reports itself.

    Attributes:
        id: new for each process.
        kind: ``"web"`` or ``"worker"``.
        host: the machine's name.
        pid: the process id on that machine.
        pipelines: the names of its pipelines, sorted.
        op_store: the address of its op store, without a password.
        op_store_id: equal in two processes that use one op store; empty: not known.
    """

    id: str = attrs.field(validator=storable_text)
    kind: str = attrs.field(validator=storable_text)
    host: str = attrs.field(default="", validator=storable_text)
    pid: int = 0
    pipelines: tuple[str, ...] = ()
    op_store: str = attrs.field(default="", validator=storable_text)
    op_store_id: str = attrs.field(default="", validator=storable_text)

    @property
    def fingerprint(self) -> str:
        """
        A short digest of the pipelines' names and the op store.
        """
        facts = json.dumps([list(self.pipelines), self.op_store_id])
        return hashlib.sha256(facts.encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """
        Return the record as text, for a store.
        """
        return json.dumps(attrs.asdict(self) | {"fingerprint": self.fingerprint})

    @classmethod
    def from_json(cls, text: str) -> ProcessRecord:
        """
        Read the text of `to_json`. Members that a later release has added are ignored.
        """
        facts: dict[str, Any] = json.loads(text)
        known = {name: facts[name] for name in attrs.fields_dict(cls) if name in facts}
        return cls(**known | {"pipelines": tuple(known.get("pipelines", ()))})
