"""
From rows to records, and from fields to columns: the one place of both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from chariots_core.jobs.record import JobError, JobEvent, JobRecord, Progress, WorkerRecord
from chariots_core.jobs.status import JobStatus

#: The columns of a record: the order that `job_from` reads.
JOB_COLUMNS: Final = (
    "id",
    "seq",
    "app",
    "pipeline",
    "backend",
    "queue",
    "status",
    "reason",
    "attempt",
    "max_attempts",
    "retry_delay",
    "timeout",
    "priority",
    "token",
    "generation",
    "cancel_requested",
    "worker",
    "queue_timeout",
    "resend_after",
    "result_ttl",
    "created_at",
    "queued_at",
    "started_at",
    "finished_at",
    "expires_at",
    "published_at",
    "lease_until",
    "due_at",
    "resend_at",
    "queue_expires_at",
    "progress",
    "versions",
    "error",
    "input_ref",
    "value_ref",
    "code",
    "manifest_json",
    "input_json",
    "value_json",
)
EVENT_COLUMNS: Final = ("seq", "job_id", "at", "kind", "status", "reason", "attempt", "data")
WORKER_COLUMNS: Final = (
    "id",
    "backend",
    "queues",
    "host",
    "pid",
    "state",
    "job_id",
    "started_at",
    "seen_at",
)

_STATUS: Final = {status.value: status for status in JobStatus}
_PLAIN: Final = frozenset({str, int, float, bool})
_dump: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_load: Final = json.loads


_LATEST: Final = datetime.max.replace(tzinfo=UTC)


def _time(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError):
        # Thousands of years from now: never, as far as anybody can wait.
        return _LATEST


def job_from(row: Sequence[Any]) -> JobRecord:
    """
    The record in a row of `JOB_COLUMNS`.
    """
    progress, versions, error = row[30], row[31], row[32]
    return JobRecord(
        id=row[0],
        seq=row[1],
        app=row[2],
        pipeline=row[3],
        backend=row[4],
        queue=row[5],
        status=_STATUS[row[6]],
        reason=row[7],
        attempt=row[8],
        max_attempts=row[9],
        retry_delay=row[10],
        timeout=row[11],
        priority=row[12],
        token=row[13],
        generation=row[14],
        cancel_requested=bool(row[15]),
        worker=row[16],
        queue_timeout=row[17],
        resend_after=row[18],
        result_ttl=row[19],
        created_at=datetime.fromtimestamp(row[20], UTC),
        queued_at=_time(row[21]),
        started_at=_time(row[22]),
        finished_at=_time(row[23]),
        expires_at=_time(row[24]),
        published_at=_time(row[25]),
        lease_until=_time(row[26]),
        due_at=_time(row[27]),
        resend_at=_time(row[28]),
        queue_expires_at=_time(row[29]),
        progress=None if progress is None else Progress(**_load(progress)),
        versions={} if versions is None else _load(versions),
        error=None if error is None else JobError(**_load(error)),
        input_ref=row[33],
        value_ref=row[34],
        code=row[35],
        manifest_json=row[36],
        input_json=row[37],
        value_json=row[38],
    )


def event_from(row: Sequence[Any]) -> JobEvent:
    """
    The event in a row of `EVENT_COLUMNS`.
    """
    return JobEvent(
        seq=row[0],
        job_id=row[1],
        at=datetime.fromtimestamp(row[2], UTC),
        kind=row[3],
        status=_STATUS[row[4]],
        reason=row[5],
        attempt=row[6],
        data={} if row[7] is None else _load(row[7]),
    )


def worker_from(row: Sequence[Any]) -> WorkerRecord:
    """
    The worker in a row of `WORKER_COLUMNS`.
    """
    return WorkerRecord(
        id=row[0],
        backend=row[1],
        queues=tuple(_load(row[2])),
        host=row[3],
        pid=row[4],
        state=row[5],
        job_id=row[6],
        started_at=_time(row[7]),
        seen_at=_time(row[8]),
    )


def to_column(value: Any) -> Any:
    """
    The value of a record's field, as its column holds it.
    """
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, (Progress, JobError)):
        return _dump(attrs.asdict(value))
    if isinstance(value, Mapping):
        return _dump(dict(value)) if value else None
    if isinstance(value, tuple | list):
        return _dump(list(value))
    if isinstance(value, datetime):
        return value.timestamp()
    return value
