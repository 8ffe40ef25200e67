"""
What becomes of a submission, and the name under which it is made once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import attrs

from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.store import IdempotencyKey
from chariots_core.strict_json import encode


@attrs.frozen(kw_only=True)
class Submission:
    """
    What became of a submission.

    Attributes:
        record: the job as it was written.
        replayed: whether it is the earlier job of the same idempotency key.
    """

    record: JobRecord
    replayed: bool = False


def idempotency_of(
    key: str | None, pipeline: str, input_json: str, options: Mapping[str, Any]
) -> IdempotencyKey | None:
    """
    What a store needs to know to make a job once under a caller's own *key*.

    Two requests are the same if pipeline, input and the given options are,
    whatever the defaults of the others have become meanwhile.
    """
    if key is None:
        return None
    asked = {"pipeline": pipeline, "input": input_json, "options": dict(sorted(options.items()))}
    digest = hashlib.sha256(encode(asked)).hexdigest()
    # The store scopes keys by app; here they are scoped by pipeline as well.
    return IdempotencyKey(key=f"{pipeline}/{key}", digest=digest)
