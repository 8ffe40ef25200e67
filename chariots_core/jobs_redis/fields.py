"""
From what Redis holds to records, and from changes to arguments: the one place of both.

Redis keeps texts, those of a job as JSON. A field without a value is not there; times
are microseconds since 1970, whole numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from chariots_core.jobs.changes import FromNow, NewEvent, Plus
from chariots_core.jobs.record import JobError, JobEvent, JobRecord, Progress, WorkerRecord
from chariots_core.jobs.status import JobStatus

#: A list of fields and values, as Redis returns a hash.
Flat = Sequence[bytes]

#: A record, as the script returns it: a JSON object of its fields, and the long texts.
Row = tuple[bytes, Flat]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_dump: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_load: Final = json.JSONDecoder().decode


def microseconds(seconds: float) -> int:
    """
    A duration as Redis keeps it.
    """
    return round(seconds * 1e6)


def stamp(time: datetime) -> int:
    """
    A time as Redis keeps it.
    """
    return (time - _EPOCH) // timedelta(microseconds=1)


def time_from(text: str | bytes) -> datetime:
    """
    A time that Redis has kept.
    """
    try:
        return _EPOCH + timedelta(0, 0, int(text))
    except OverflowError:
        # Thousands of years from now: never, as far as anybody can wait.
        return _LATEST


def _error(text: str) -> JobError:
    return JobError(**_load(text))


def _progress(text: str) -> Progress:
    return Progress(**_load(text))


def _flag(text: str) -> bool:
    return text == "1"


#: How each field is read; ``None``: it is a text.
_READ: Final[Mapping[str, Callable[[str], Any] | None]] = {
    name: read
    for read, names in (
        (None, ("id", "pipeline", "backend", "queue", "reason", "worker", "input_json",
                "input_ref", "code", "value_json", "value_ref", "manifest_json")),
        (int, ("seq", "attempt", "max_attempts", "priority", "token", "generation")),
        (float, ("retry_delay", "timeout", "queue_timeout", "resend_after", "result_ttl")),
        (time_from, ("lease_until", "resend_at", "due_at", "queue_expires_at", "created_at",
                     "queued_at", "started_at", "finished_at", "expires_at", "published_at")),
        (JobStatus, ("status",)),
        (_flag, ("cancel_requested",)),
        (_load, ("versions",)),
        (_error, ("error",)),
        (_progress, ("progress",)),
    )
    for name in names
}  # fmt: skip

#: The fields that may be long, and then stand apart.
_TEXTS: Final = frozenset(
    {"input_json", "value_json", "manifest_json", "versions", "error", "progress"}
)


def job_from(row: Row, *, app: str) -> JobRecord:
    """
    The record in what the script returns of a job.
    """
    values: dict[str, Any] = _load(row[0].decode())
    pairs = iter(row[1])
    for field, text in zip(pairs, pairs, strict=True):
        values[field.decode()] = text.decode()
    known = {
        name: text if (read := _READ[name]) is None else read(text)
        for name, text in values.items()
        # What the store keeps for itself, or a later release has written, is left out.
        if name in _READ
    }
    return JobRecord(app=app, **known)


def event_from(text: bytes, *, job_id: str) -> JobEvent:
    """
    The event in an element of a job's list.
    """
    seq, at, kind, status, attempt, reason, data = _load(text.decode())
    return JobEvent(
        seq=seq,
        job_id=job_id,
        at=_EPOCH + timedelta(microseconds=at),
        kind=kind,
        status=JobStatus(status),
        reason=reason,
        attempt=attempt,
        data=data or {},
    )


def worker_from(flat: Flat) -> WorkerRecord:
    """
    The worker in a hash.
    """
    pairs = iter(flat)
    told = dict(zip(pairs, pairs, strict=True))
    job_id = told.get(b"job_id")
    return WorkerRecord(
        id=told[b"id"].decode(),
        backend=told[b"backend"].decode(),
        queues=tuple(_load(told[b"queues"].decode())),
        host=told[b"host"].decode(),
        pid=int(told[b"pid"]),
        state=told[b"state"].decode(),
        job_id=None if job_id is None else job_id.decode(),
        started_at=time_from(told[b"started_at"]),
        seen_at=time_from(told[b"seen_at"]),
    )


def worker_fields(worker: WorkerRecord) -> list[str | int]:
    """
    The fields and values of a worker; its times are the store's.
    """
    told: dict[str, str | int | None] = {
        "id": worker.id,
        "backend": worker.backend,
        "queues": _dump(list(worker.queues)),
        "host": worker.host,
        "pid": worker.pid,
        "state": worker.state,
        "job_id": worker.job_id,
    }
    return [part for field in told.items() if field[1] is not None for part in field]  # type: ignore[misc]


def written(values: Mapping[str, Any], **more: Any) -> list[str]:
    """
    New values of fields as the script takes them: what is to be written, as JSON, and
    after that the name and the text of each that may be long.

    Args:
        values: the fields.
        **more: what else the script is to know of what is to be written.
    """
    what: dict[str, Any] = {"set": {}, "now": {}, "plus": {}, "gone": []} | more
    texts: list[str] = []
    for name, value in values.items():
        if value is None:
            what["gone"].append(name)
        elif name in _TEXTS:
            texts += (name, _long(value))
        elif isinstance(value, FromNow):
            what["now"][name] = microseconds(value.seconds)
        elif isinstance(value, Plus):
            what["plus"][name] = value.n
        else:
            what["set"][name] = _short(value)
    return [_dump(what), *texts]


def event_of(event: NewEvent) -> tuple[str, str, int]:
    """
    An event as the script takes it: kind and data as JSON, and how many to keep or 0.
    """
    return _dump(event.kind), _dump(dict(event.data)) if event.data else "null", event.keep or 0


def _short(value: Any) -> str:
    if isinstance(value, JobStatus):
        return value.value
    if isinstance(value, datetime):
        return str(stamp(value))
    if isinstance(value, bool):
        return str(int(value))
    return str(value)


def _long(value: Any) -> str:
    if isinstance(value, (JobError, Progress)):
        return _dump(attrs.asdict(value))
    if isinstance(value, Mapping):
        return _dump(dict(value))
    return value  # type: ignore[no-any-return]
