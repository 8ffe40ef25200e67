"""
A model of the job store: what must be so after each event, written down
independently of the code that makes it so. Time is counted in whole seconds.
"""

from __future__ import annotations

import attrs

from chariots_core.jobs import JobRecord, JobStatus, NewJob, Reason
from chariots_core.jobs.outcomes import PUBLISH_AFTER, PUBLISH_CAP, PUBLISH_DEADLINE

QUEUED, RUNNING = JobStatus.queued, JobStatus.running
DEFERRED, DONE, FAILED = JobStatus.deferred, JobStatus.done, JobStatus.failed

State = tuple[str, JobStatus, str | None, int]


@attrs.define(kw_only=True)
class ModelJob:
    """
    One job, as it must be.
    """

    asked: NewJob
    now: int
    status: JobStatus = QUEUED
    reason: str | None = None
    attempt: int = 0
    token: int = 0
    generation: int = 1
    cancel: bool = False
    lease_until: int | None = None
    due_at: int | None = None
    resend_at: int | None = None
    queue_ends: int | None = None
    expires: int | None = None
    value: str | None = None
    commits: int = 0
    events: list[State] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        asked = self.asked
        if asked.queue_timeout is not None:
            self.queue_ends = self.now + int(asked.delay + asked.queue_timeout)
        if asked.delay:
            self.status, self.reason = DEFERRED, Reason.SCHEDULED
            self.generation, self.due_at = 0, self.now + int(asked.delay)
        elif asked.resend_after is not None:
            self.resend_at = self.now + int(asked.resend_after)
        self.tell("state")

    # -- questions

    @property
    def facts(self) -> dict[str, object]:
        """
        What a record must say.
        """
        return {
            "status": self.status,
            "reason": self.reason,
            "attempt": self.attempt,
            "token": self.token,
            "generation": self.generation,
            "cancel_requested": self.cancel,
            "value_json": self.value,
            "is_unpublished": self.is_unpublished,
        }

    @property
    def is_unpublished(self) -> bool:
        return self.status is RUNNING and self.reason == Reason.PUBLISHING

    def owns(self, held: JobRecord) -> bool:
        """
        Whether a record that a worker holds is that of the attempt at work.
        """
        return self.status is RUNNING and (self.attempt, self.token) == (held.attempt, held.token)

    def is_startable(self, now: int) -> bool:
        return self.status is QUEUED and not _past(self.queue_ends, now)

    def is_forgotten(self, now: int) -> bool:
        return self.status.is_final and _past(self.expires, now)

    @property
    def is_nameless(self) -> bool:
        """
        Whether its id and its key are free for another job.
        """
        return (self.status, self.reason, self.token) == (FAILED, Reason.NOT_SUBMITTED, 0)

    def is_due(self, now: int) -> bool:
        """
        Whether a tick has to look at it.
        """
        if self.is_unpublished:
            return _past(self.resend_at, now)
        if self.status is RUNNING:
            return _past(self.lease_until, now)
        if self.status is QUEUED:
            return _past(self.resend_at, now) or _past(self.queue_ends, now)
        if self.status is DEFERRED:
            return _past(self.due_at, now) or _past(self.queue_ends, now)
        return False

    # -- events

    def tell(self, kind: str) -> None:
        self.events.append((kind, self.status, self.reason, self.attempt))

    def claim(self, now: int, lease: int) -> None:
        self.status, self.reason = RUNNING, None
        self.attempt, self.token = self.attempt + 1, self.token + 1
        self.lease_until = now + lease
        self.due_at = self.resend_at = None
        self.tell("state")

    def complete(self, now: int, value: str, *, trained: bool) -> None:
        self.value = value
        self.commits += 1
        if not trained:
            self.status = DONE
            self.end(now, None)
            return
        self.reason, self.token = Reason.PUBLISHING, self.token + 1
        self.lease_until, self.resend_at = None, now + int(PUBLISH_AFTER)
        self.queue_ends = now + int(PUBLISH_DEADLINE)
        self.tell("publishing")

    def fail(self, now: int, reason: str, *, retryable: bool) -> None:
        if retryable and not self.cancel and self.attempt < self.asked.max_attempts:
            self.again(now, int(self.asked.retry_delay * 2 ** (self.attempt - 1)))
            self.reason = Reason.RETRYING
            self.tell("state")
            return
        if reason == Reason.WORKER_LOST and self.cancel:
            reason = Reason.CANCELLED
        elif reason == Reason.WORKER_LOST and self.asked.max_attempts > 1:
            reason = Reason.ATTEMPTS_EXHAUSTED
        self.status = FAILED
        self.end(now, reason)

    def release(self, now: int, reason: str, delay: int) -> None:
        if self.cancel:
            self.status = FAILED
            self.end(now, Reason.CANCELLED)
            return
        queue_ends = self.queue_ends
        self.again(now, delay)
        if reason == Reason.UNKNOWN_PIPELINE:
            self.queue_ends = queue_ends
        self.attempt, self.reason = self.attempt - 1, reason
        self.tell("state")

    def request_cancel(self, now: int) -> None:
        if self.status.is_final or self.is_unpublished or self.cancel:
            return
        self.cancel = True
        if self.status is RUNNING:
            self.tell("cancel_requested")
        else:
            self.status = FAILED
            self.end(now, Reason.CANCELLED)

    def tick(self, now: int) -> bool:
        """
        Settle what is due; say whether the job is to be handed over.
        """
        if self.status is RUNNING:
            self.fail(now, Reason.WORKER_LOST, retryable=True)
            return self.status is QUEUED
        if _past(self.queue_ends, now):
            known = self.reason != Reason.UNKNOWN_PIPELINE
            self.status = FAILED
            self.end(now, Reason.EXPIRED_IN_QUEUE if known else Reason.UNKNOWN_PIPELINE)
            return False
        if self.status is DEFERRED:
            self.status, self.due_at = QUEUED, None
            self.reason = None if self.reason == Reason.SCHEDULED else self.reason
            self.hand_over(now)
            self.tell("state")
        else:
            self.hand_over(now)
        return True

    def publish(self, now: int) -> None:
        self.status = DONE
        self.end(now, None)

    def fail_to_publish(self, now: int) -> None:
        """
        A publication was tried in vain: again later, or never.
        """
        assert self.resend_at is not None
        assert self.queue_ends is not None
        if now - self.resend_at > PUBLISH_CAP:
            self.queue_ends = now + int(PUBLISH_DEADLINE)
        age = int(PUBLISH_DEADLINE) - (self.queue_ends - now)
        self.resend_at = now + min(max(age, int(PUBLISH_AFTER)), int(PUBLISH_CAP))
        if _past(self.queue_ends, now):
            self.status, self.value = FAILED, None
            self.end(now, Reason.PUBLICATION_FAILED)

    # -- parts

    def again(self, now: int, delay: int) -> None:
        self.lease_until = None
        timeout = self.asked.queue_timeout
        self.queue_ends = None if timeout is None else now + delay + int(timeout)
        if delay:
            self.status, self.due_at = DEFERRED, now + delay
        else:
            self.status = QUEUED
            self.hand_over(now)

    def hand_over(self, now: int) -> None:
        base = self.asked.resend_after
        if base is not None:
            self.resend_at = now + min(max(300, int(base)), int(base) * 2**self.generation)
        self.generation += 1

    def end(self, now: int, reason: str | None) -> None:
        self.reason = reason
        self.lease_until = self.due_at = self.resend_at = self.queue_ends = None
        self.expires = now + int(self.asked.result_ttl)
        self.tell("state")


def _past(moment: int | None, now: int) -> bool:
    return moment is not None and moment <= now
