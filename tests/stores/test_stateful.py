"""
Random stories told to a store and to a model of it: they must agree on every job.

Workers claim, die, come back too late; clocks move; several tick at once;
submissions are repeated; jobs are cancelled and published. No story may lead to
a move that the table does not have, a lost job, or a second commit.
"""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chariots_core.errors import IdempotencyMismatch, JobNotFound, StaleAttempt
from chariots_core.jobs import (
    IdempotencyKey,
    JobQuery,
    JobRecord,
    JobStatus,
    NewJob,
    QueueJobStore,
    Reason,
    check_transition,
    lifecycle,
    wake_at,
)
from chariots_core.jobs.publication import settle_publications
from chariots_core.jobs.tick import TickReport, tick
from chariots_core.testing.job_store_contract.harness import together
from chariots_core.testing.stepped_redis import SteppedRedis
from chariots_core.testing.stepped_store import SteppedDatabase
from tests.redis_servers import RedisProcess
from tests.stores.model import QUEUED, ModelJob

LEASE = 20
STORIES = os.environ.get("CHARIOTS_TEST_STORIES")

#: The same stories each time, unless somebody asks for a number of new ones.
SETTINGS = settings(
    max_examples=int(STORIES or 100),
    stateful_step_count=40,
    deadline=None,
    database=None,
    derandomize=STORIES is None,
    suppress_health_check=list(HealthCheck),
)

reasons = st.sampled_from([Reason.USER_ERROR, Reason.TIMEOUT, Reason.WORKER_LOST])
release_reasons = st.sampled_from([Reason.WORKER_STOPPED, Reason.UNKNOWN_PIPELINE])


class Story(RuleBasedStateMachine):
    """
    One story, on a database that others share, under an app of its own.
    """

    database: SteppedDatabase | SteppedRedis

    def __init__(self) -> None:
        super().__init__()
        app = uuid.uuid4().hex
        self.handles = [self.database.open(app) for _ in range(2)]
        self.store = self.handles[0]
        self.now = 0
        self.jobs: dict[str, ModelJob] = {}
        self.keys: dict[str, tuple[str, str]] = {}
        self.held: list[JobRecord] = []

    def teardown(self) -> None:
        for handle in self.handles:
            handle.close()

    # -- submission

    @rule(
        data=st.data(),
        max_attempts=st.integers(1, 3),
        retry_delay=st.sampled_from([0, 0, 20]),
        delay=st.sampled_from([0, 0, 0, 30]),
        queue_timeout=st.sampled_from([None, None, 40]),
        resend_after=st.sampled_from([None, 20]),
        priority=st.integers(0, 1),
        key=st.sampled_from([None, None, "a", "b"]),
    )
    def submit(self, data: st.DataObject, key: str | None, **options: Any) -> None:
        job = NewJob(pipeline="p", backend="b", input_json="1", result_ttl=50, **options)
        if key is None:
            created = self.store.create(job)
            assert not created.replayed
            self.jobs[job.id] = ModelJob(asked=job, now=self.now)
            return
        digest = data.draw(st.sampled_from("xy"))
        idempotency = IdempotencyKey(key=key, digest=digest)
        earlier = self.keys.get(key)
        if earlier is not None:
            owner = self.jobs[earlier[0]]
            if owner.is_forgotten(self.now) or owner.is_nameless:
                earlier = None
        if earlier is None:
            assert not self.store.create(job, idempotency=idempotency).replayed
            self.jobs[job.id] = ModelJob(asked=job, now=self.now)
            self.keys[key] = (job.id, digest)
        elif earlier[1] == digest:
            created = self.store.create(job, idempotency=idempotency)
            assert (True, earlier[0]) == (created.replayed, created.record.id)
        else:
            with pytest.raises(IdempotencyMismatch):
                self.store.create(job, idempotency=idempotency)

    @precondition(lambda self: self.known())
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.known()))
        created = self.handles[1].create(job.asked)
        assert created.replayed is not job.is_nameless
        if not created.replayed:
            job_id = created.record.id
            self.keys = {key: owner for key, owner in self.keys.items() if owner[0] != job_id}
            del self.jobs[job_id]
            self.jobs[job_id] = ModelJob(asked=job.asked, now=self.now)

    @precondition(lambda self: self.known())
    @rule(data=st.data())
    def broker_refuses(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.known()))
        record = self.store.get(job.asked.id)
        if record.status is QUEUED:
            lifecycle.not_submitted(self.store, record)
            job.status = JobStatus.failed
            job.end(self.now, Reason.NOT_SUBMITTED)

    # -- workers

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), n=st.integers(1, 3))
    def messages_arrive(self, data: st.DataObject, n: int) -> None:
        job = data.draw(st.sampled_from(list(self.jobs.values())))
        claims = together(
            n,
            lambda i: lifecycle.claim(
                self.handles[i % 2], job.asked.id, worker=f"w{i}", lease=LEASE
            ),
        )
        won = [record for record in claims if record is not None]
        assert int(job.is_startable(self.now)) == len(won)
        if won:
            self.held += won
            job.claim(self.now, LEASE)

    @rule(n=st.integers(1, 3))
    def workers_take_the_next(self, n: int) -> None:
        waiting = sorted(
            (job for job in self.jobs.values() if job.is_startable(self.now)),
            key=lambda job: (-job.asked.priority, list(self.jobs).index(job.asked.id)),
        )
        expected = [job.asked.id for job in waiting[:n]]

        def take(i: int) -> JobRecord | None:
            store = self.handles[i % 2]
            if isinstance(store, QueueJobStore):
                return store.claim_next(
                    backend="b", queues=["default", "other"], worker=f"w{i}", lease=LEASE
                )
            # A queue beside the store has told this worker which one is next.
            next_id = expected[i] if i < len(expected) else "none"
            return lifecycle.claim(store, next_id, worker=f"w{i}", lease=LEASE)

        claims = together(n, take)
        won = [record for record in claims if record is not None]
        assert sorted(expected) == sorted(record.id for record in won)
        # Who got which is a matter of luck, and a story must go the same way again.
        self.held += sorted(won, key=lambda record: expected.index(record.id))
        for record in won:
            self.jobs[record.id].claim(self.now, LEASE)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def worker_renews(self, data: st.DataObject) -> None:
        held, job = self.some_attempt(data)
        if not job.owns(held):
            with pytest.raises(StaleAttempt):
                lifecycle.renew(self.store, held, lease=LEASE)
            return
        renewed = lifecycle.renew(self.store, held, lease=LEASE)
        assert job.cancel == renewed.cancel_requested
        job.lease_until = self.now + LEASE

    @precondition(lambda self: self.held)
    @rule(data=st.data(), trained=st.booleans())
    def worker_completes(self, data: st.DataObject, trained: bool) -> None:
        held, job = self.some_attempt(data)
        value = f'"{held.id} {held.attempt} {held.token}"'
        manifest = "{}" if trained else None

        def commit(i: int) -> bool:
            try:
                lifecycle.complete(self.handles[i], held, value_json=value, manifest_json=manifest)
            except StaleAttempt:
                return False
            return True

        assert int(job.owns(held)) == sum(together(2, commit))
        if job.owns(held):
            job.complete(self.now, value, trained=trained)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), reason=reasons, retryable=st.booleans())
    def worker_fails(self, data: st.DataObject, reason: str, retryable: bool) -> None:
        held, job = self.some_attempt(data)
        if not job.owns(held):
            with pytest.raises(StaleAttempt):
                lifecycle.fail(self.store, held, reason=reason, retryable=retryable)
            return
        lifecycle.fail(self.store, held, reason=reason, retryable=retryable)
        job.fail(self.now, reason, retryable=retryable)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), reason=release_reasons, delay=st.sampled_from([0, 10]))
    def worker_hands_back(self, data: st.DataObject, reason: str, delay: int) -> None:
        held, job = self.some_attempt(data)
        if not job.owns(held):
            with pytest.raises(StaleAttempt):
                lifecycle.release(self.store, held, reason=reason, delay=delay)
            return
        lifecycle.release(self.store, held, reason=reason, delay=delay)
        job.release(self.now, reason, delay)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def worker_dies(self, data: st.DataObject) -> None:
        held, _ = self.some_attempt(data)
        self.held.remove(held)

    # -- others

    @precondition(lambda self: self.known())
    @rule(data=st.data())
    def somebody_cancels(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.known()))
        record = lifecycle.request_cancel(self.store, job.asked.id)
        job.request_cancel(self.now)
        assert job.status is record.status

    @rule(seconds=st.sampled_from([10, 20, 50]))
    def time_passes(self, seconds: int) -> None:
        self.database.advance(seconds)
        self.now += seconds

    @rule(n=st.integers(1, 3), fails=st.booleans(), full=st.booleans())
    def some_tick(self, n: int, fails: bool, full: bool) -> None:
        sent: list[tuple[str, int]] = []

        def publish(_record: JobRecord) -> None:
            if full:
                raise OSError("no space left on device")

        def dispatch(record: JobRecord) -> None:
            sent.append((record.id, record.generation))
            if fails:
                raise ConnectionError("the broker is down")

        def one(i: int) -> TickReport:
            return tick(self.handles[i % 2], dispatch=dispatch, publish=publish)

        together(n, one)
        settled = self.settled(list(self.jobs.values()), full=full)
        assert Counter(settled) == Counter(sent)

    @rule(full=st.booleans())
    def somebody_loads(self, full: bool) -> None:
        def publish(_record: JobRecord) -> None:
            if full:
                raise OSError("no space left on device")

        settle_publications(self.store, publish)
        for job in self.jobs.values():
            if job.is_unpublished and not full:
                job.publish(self.now)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def somebody_looks(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(list(self.jobs.values())))
        sent: list[tuple[str, int]] = []
        tick(
            self.store,
            dispatch=lambda record: sent.append((record.id, record.generation)),
            publish=lambda _record: None,
            job_id=job.asked.id,
        )
        assert self.settled([job]) == sent

    # -- what must be so

    @invariant()
    def records_agree(self) -> None:
        for job_id, job in self.jobs.items():
            if job.is_forgotten(self.now):
                with pytest.raises(JobNotFound):
                    self.store.get(job_id)
                continue
            record = self.handles[1].get(job_id)
            assert job.facts == {name: getattr(record, name) for name in job.facts}
            assert record.attempt <= record.max_attempts
            committed = record.status is JobStatus.done or record.is_unpublished
            assert job.commits == int(committed or record.reason == Reason.PUBLICATION_FAILED)
            if record.status in (JobStatus.queued, JobStatus.deferred):
                assert (None, None) == (record.worker, record.started_at)

    @invariant()
    def events_agree(self) -> None:
        for job in self.known():
            events = self.store.events(job.asked.id)
            assert job.events == [
                (event.kind, event.status, event.reason, event.attempt) for event in events
            ]
            before: JobStatus | None = None
            for event in events:
                if event.kind == "state":
                    check_transition(before, event.status)
                    before = event.status
                assert before is event.status

    @invariant()
    def lists_agree(self) -> None:
        known = self.known()
        listed = self.store.list_jobs(JobQuery(limit=1000))
        assert [job.asked.id for job in reversed(known)] == [record.id for record in listed]
        unfinished = Counter(job.status for job in known if not job.status.is_final)
        assert unfinished == Counter(dict(self.store.counts()))
        due = self.store.due(limit=1000)
        assert {job.asked.id for job in known if job.is_due(self.now)} == {
            record.id for record in due
        }
        turns = [
            (record.status is JobStatus.queued, wake_at(record) or record.created_at)
            for record in due
        ]
        assert sorted(turns) == turns

    # -- parts

    def known(self) -> list[ModelJob]:
        return [job for job in self.jobs.values() if not job.is_forgotten(self.now)]

    def some_attempt(self, data: st.DataObject) -> tuple[JobRecord, ModelJob]:
        held = data.draw(st.sampled_from(self.held))
        return held, self.jobs[held.id]

    def settled(self, jobs: list[ModelJob], *, full: bool = False) -> list[tuple[str, int]]:
        sent = []
        for job in jobs:
            if not job.is_due(self.now):
                continue
            if job.is_unpublished and full:
                job.fail_to_publish(self.now)
            elif job.is_unpublished:
                job.publish(self.now)
            elif job.tick(self.now):
                sent.append((job.asked.id, job.generation))
        return sent


@contextmanager
def _stories_on(place: SteppedDatabase | SteppedRedis) -> Iterator[type[Story]]:
    class StoryHere(Story):
        database = place

    yield StoryHere
    place.close()


@pytest.mark.timeout(300)
def test_stories_on_sqlite(tmp_path: Path) -> None:
    """
    SQLite and the model agree on every job after every step of every story.
    """
    with _stories_on(SteppedDatabase(f"sqlite:///{tmp_path}/jobs.db")) as story:
        run_state_machine_as_test(story, settings=SETTINGS)


@pytest.mark.timeout(300)
def test_stories_on_postgresql(postgres_tables: str) -> None:
    """
    PostgreSQL and the model agree on every job after every step of every story.
    """
    quicker = settings(
        SETTINGS,
        max_examples=SETTINGS.max_examples // 5,
        # To look for a shorter story takes minutes; SQLite's will mostly do.
        phases=[Phase.generate],
    )
    with _stories_on(SteppedDatabase(postgres_tables)) as story:
        run_state_machine_as_test(story, settings=quicker)


@pytest.mark.timeout(300)
def test_stories_on_redis(redis_server: RedisProcess) -> None:
    """
    Redis and the model agree on every job after every step of every story.
    """
    with _stories_on(SteppedRedis(redis_server.url)) as story:
        run_state_machine_as_test(story, settings=SETTINGS)
