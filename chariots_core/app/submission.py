"""
What becomes of a submission, and the name under which it is made once.
"""

from __future__ import annotations

import hashlib

import attrs

from chariots_core.jobs.record import JobRecord, NewJob
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


def idempotency_of(key: str | None, job: NewJob) -> IdempotencyKey | None:
    """
    What a store needs to know to make *job* once under a caller's own *key*.
    """
    if key is None:
        return None
    # The store scopes keys by app; here they are scoped by pipeline as well.
    asked = attrs.asdict(job, filter=lambda field, _: field.name != "id")
    digest = hashlib.sha256(encode(asked)).hexdigest()
    return IdempotencyKey(key=f"{job.pipeline}/{key}", digest=digest)
