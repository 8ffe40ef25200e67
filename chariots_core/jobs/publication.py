"""
Publishing what jobs trained: from a decided outcome to ``done``.

The worker that committed the outcome publishes at once. The functions here are for
the other processes: a tick takes over if the worker died or the op store did not
take the models, and a load publishes pending models before it reads the op store.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from chariots_core.errors import ChariotsError, JobNotFound
from chariots_core.jobs import lifecycle, outcomes
from chariots_core.jobs.changes import FromNow, When
from chariots_core.jobs.record import JobError, JobRecord
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs.store import JobQuery, JobStore

logger: Final = logging.getLogger(__name__)

#: Characters of an error's message that a record keeps.
_LONGEST_MESSAGE: Final = 4096

#: How many running jobs one look at the store returns.
_PAGE: Final = 200

Publish = Callable[[JobRecord], object]


def publish_due(
    store: JobStore, record: JobRecord, now: datetime, publish: Publish
) -> tuple[str, JobRecord | None]:
    """
    Try to publish the models of a job whose publication is due.

    Of several processes that try at the same moment, one does: it moves the time of
    the next try before it publishes.

    Returns:
        The field of `TickReport` to count in, and the record if this call ended the job.
    """
    if record.status is JobStatus.done:
        return _publish_older(store, record, now, publish)
    taken = store.compare_and_set(
        lifecycle.unpublished_guard(record, When.resend_due),
        None,
        outcomes.publication_try_changes(record, now),
    )
    if taken is None:
        return "published", None
    error = _try(publish, taken)
    if error is None:
        return "published", lifecycle.mark_published(store, taken)
    status, changes = outcomes.after_failed_publication(taken, now, _described(error))
    written = store.compare_and_set(lifecycle.unpublished_guard(taken), status, changes)
    if written is not None and written.status is JobStatus.failed:
        return "abandoned", written
    return "errors", None


def settle_publications(store: JobStore, publish: Publish) -> tuple[JobRecord, ...]:
    """
    Publish now the models of every job whose outcome is decided, even if the next try
    is not due.

    A publication that fails is logged, and left to the tick.

    Args:
        store: where the jobs live.
        publish: publishes what a job trained; must be idempotent.

    Returns:
        The records that this call has made ``done``.

    Raises:
        StoreUnavailable: the job store did not answer.
    """
    ended = []
    for record in list(_publishing(store)):
        if _try(publish, record) is None:
            written = lifecycle.mark_published(store, record)
            if written is not None:
                ended.append(written)
    return tuple(ended)


def _publishing(store: JobStore) -> Iterator[JobRecord]:
    before: int | None = None
    while True:
        query = JobQuery(status=JobStatus.running, before_seq=before, limit=_PAGE)
        listed = store.list_jobs(query)
        for record in listed:
            if not record.is_publishing:
                continue
            try:
                # A listed record has no manifest.
                found = store.get(record.id)
            except JobNotFound:
                continue
            if found.is_publishing:
                yield found
        if len(listed) < _PAGE:
            return
        before = listed[-1].seq


def _publish_older(
    store: JobStore, record: JobRecord, now: datetime, publish: Publish
) -> tuple[str, JobRecord | None]:
    """
    Publish the models of a job that an older release made ``done`` before.
    """
    if _try(publish, record) is None:
        return "published", lifecycle.mark_published(store, record)
    age = (now - record.finished_at).total_seconds() if record.finished_at else outcomes.PUBLISH_CAP
    wait = FromNow(min(max(age, 1.0), outcomes.PUBLISH_CAP))
    store.compare_and_set(lifecycle.unpublished_guard(record), None, {"resend_at": wait})
    return "errors", None


def _described(error: Exception) -> JobError:
    """
    *error* as data. Clients read the record, and the text of an error that is not of
    this package may be secret.
    """
    kind = type(error)
    if isinstance(error, ChariotsError):
        cause = error.message[:_LONGEST_MESSAGE]
    elif isinstance(error, OSError) and error.errno is not None:
        cause = os.strerror(error.errno)
    else:
        cause = "the log of the process that tried has the error"
    return JobError(
        type=kind.__name__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__name__}",
        message=f"the models of the job could not be published: {cause}",
    )


def _try(publish: Publish, record: JobRecord) -> Exception | None:
    return attempted(publish, record, "publish the models of")


def attempted(act: Callable[[JobRecord], object], record: JobRecord, what: str) -> Exception | None:
    """
    Carry out *act* for a job; log and return its error, so that other jobs go on.

    Args:
        act: the act. A later tick repeats it.
        record: the job.
        what: the act in words, for the log.
    """
    try:
        act(record)
    except Exception as error:  # noqa: BLE001 - an error of one job must not stop the others
        logger.warning(
            "could not %s job %s, tried again later: %s: %s",
            what,
            record.id,
            type(error).__name__,
            error,
            extra={"action": f"{what.split(maxsplit=1)[0]}_failed", "job_id": record.id},
        )
        return error
    return None
