"""
Many at once: threads with a handle in common, and with handles of their own.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import Counter

import pytest

from chariots_core.errors import StaleAttempt
from chariots_core.jobs.lifecycle import claim, complete, fail, not_submitted, request_cancel
from chariots_core.jobs.record import JobRecord
from chariots_core.jobs.status import TRANSITIONS, JobStatus
from chariots_core.jobs.store import Created, IdempotencyKey, JobQuery, JobStore, NewEvent
from chariots_core.jobs.tick import tick
from chariots_core.testing.job_store_contract.harness import (
    StoreHarness,
    StoreTests,
    new_job,
    queued,
    started,
    together,
)

_N = 8


class ConcurrencyContract(StoreTests):
    """
    Each change is made by exactly one of those who try.
    """

    @pytest.fixture(params=["one handle", "own handles"])
    def handles(self, request: pytest.FixtureRequest, harness: StoreHarness) -> list[JobStore]:
        """
        A handle for each thread: the same one, or one of its own.
        """
        if request.param == "one handle":
            return [harness.open("app")] * _N
        return [harness.open("app") for _ in range(_N)]

    def test_one_claim(self, handles: list[JobStore]) -> None:
        """
        (16) Of many that claim a job at once, one gets it.
        """
        for _ in range(10):
            record = queued(handles[0])

            def act(n: int, job_id: str = record.id) -> JobRecord | None:
                return claim(handles[n], job_id, worker=f"w{n}", lease=9.0)

            claims = together(_N, act)
            winners = [claimed for claimed in claims if claimed is not None]
            assert 1 == len(winners)
            assert winners[0] == handles[0].get(record.id)
            assert 1 == winners[0].attempt

    def test_one_creation(self, handles: list[JobStore]) -> None:
        """
        (16) Of many that submit one id at once, one creates the job, the others get it.
        """
        job = new_job()
        answers = together(_N, lambda n: handles[n].create(job))

        assert Counter({True: _N - 1, False: 1}) == Counter(answer.replayed for answer in answers)
        assert {job.id} == {answer.record.id for answer in answers}
        assert 1 == len(handles[0].events(job.id))

    def test_one_creation_by_key(self, handles: list[JobStore]) -> None:
        """
        Of many that submit under one key at once, one creates the job, the others get it.
        """
        for number in range(5):
            key = IdempotencyKey(key=f"k{number}", digest="d")

            def act(n: int, key: IdempotencyKey = key) -> Created:
                return handles[n].create(new_job(), idempotency=key)

            answers = together(_N, act)
            assert 1 == [answer.replayed for answer in answers].count(False)
            assert 1 == len({answer.record.id for answer in answers})
        assert 5 == len(handles[0].list_jobs(JobQuery()))

    def test_one_creation_under_a_free_key(self, handles: list[JobStore]) -> None:
        """
        Of many that submit again what was not submitted, one creates the job.
        """
        for number in range(5):
            key = IdempotencyKey(key=f"k{number}", digest="d")
            first = handles[0].create(new_job(), idempotency=key).record
            not_submitted(handles[0], first)

            def act(n: int, key: IdempotencyKey = key, first_id: str = first.id) -> Created:
                job = new_job(id=first_id) if n % 2 else new_job()
                return handles[n].create(job, idempotency=key)

            answers = together(_N, act)
            assert 1 == [answer.replayed for answer in answers].count(False)
            assert 1 == len({answer.record.id for answer in answers})

    def test_one_commit(self, handles: list[JobStore]) -> None:
        """
        (36) Of many outcomes of one attempt, one is committed, and the answer says which.
        """
        record = started(handles[0])

        def commit(n: int) -> JobRecord | None:
            try:
                if n % 2:
                    return complete(handles[n], record, value_json=str(n))
                return fail(handles[n], record, reason=f"r{n}", retryable=False)
            except StaleAttempt:
                return None

        outcomes = [outcome for outcome in together(_N, commit) if outcome is not None]
        assert [handles[0].get(record.id)] == outcomes
        assert 3 == len(handles[0].events(record.id))

    def test_cancel_against_the_end_of_an_attempt(self, handles: list[JobStore]) -> None:
        """
        A job that is asked to end while its attempt fails is never queued again.
        """
        for _ in range(20):
            record = started(handles[0], max_attempts=5)

            def act(n: int, record: JobRecord = record) -> JobRecord:
                if n == 0:
                    return fail(handles[n], record, reason="r", retryable=True)
                return request_cancel(handles[n], record.id)

            together(2, act)
            assert JobStatus.failed is handles[0].get(record.id).status

    def test_one_tick(self, harness: StoreHarness, handles: list[JobStore]) -> None:
        """
        (43) Of many that tick at once, one moves each job, tells it once, hands it over once.
        """
        records = [started(handles[0], lease=1.0, max_attempts=2) for _ in range(10)]
        records += [queued(handles[0], delay=1.0) for _ in range(10)]
        harness.advance(2.0)
        sent: list[tuple[str, int]] = []
        reports = together(
            _N,
            lambda n: tick(
                handles[n],
                dispatch=lambda record: sent.append((record.id, record.generation)),
                publish=lambda _record: None,
            ),
        )

        assert (10, 10) == (
            sum(report.retried for report in reports),
            sum(report.due for report in reports),
        )
        assert sorted((record.id, record.generation + 1) for record in records) == sorted(sent)
        for record in records:
            states = [event.status for event in handles[0].events(record.id)]
            assert JobStatus.queued is states[-1]
            assert len(states) == (3 if record.status is JobStatus.running else 2)

    def test_events_of_many(self, handles: list[JobStore]) -> None:
        """
        Events that many write at once are all kept, each with a number of its own.
        """
        record = queued(handles[0])
        together(
            _N,
            lambda n: [
                handles[n].append_event(record.id, NewEvent(kind="note", data={"n": n}))
                for _ in range(5)
            ],
        )

        events = handles[0].events(record.id)
        assert 1 + 5 * _N == len({event.seq for event in events})

    def test_reader_sees_whole_records(self, harness: StoreHarness, store: JobStore) -> None:
        """
        (18, 20) A reader never sees done without its value, nor a move that the table
        does not have.
        """
        reader = harness.open("app")
        ids = [queued(store).id for _ in range(50)]
        finished = threading.Event()
        faults: list[str] = []
        seen: dict[str, JobStatus] = dict.fromkeys(ids, JobStatus.queued)

        def watch() -> None:
            while not finished.is_set():
                for job_id in ids:
                    record = reader.get(job_id)
                    before = seen[job_id]
                    if record.status is JobStatus.done and record.value_json is None:
                        faults.append(f"{job_id} done without value")
                    if not _reachable(before, record.status):
                        faults.append(f"{job_id} from {before} to {record.status}")
                    seen[job_id] = record.status

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            for job_id in ids:
                record = claim(store, job_id, worker="w", lease=9.0)
                assert record is not None
                complete(store, record, value_json="1")
        finally:
            finished.set()
            thread.join(10.0)

        assert [] == faults

    def test_fork(self, store: JobStore) -> None:
        """
        (7) A handle that was used before a fork works in four children at once, and
        still in the parent.
        """
        record = queued(store)
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=_work_in_child, args=(store, n)) for n in range(4)]
        for child in children:
            child.start()
        ours = [queued(store).id for _ in range(20)]
        for child in children:
            child.join(30.0)

        assert [0] * 4 == [child.exitcode for child in children]
        assert 101 == len(store.list_jobs(JobQuery(limit=1000)))
        assert record == store.get(record.id)
        assert set(ours) <= {job.id for job in store.list_jobs(JobQuery(limit=1000))}

    @pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
    def test_fork_while_others_write(self, store: JobStore) -> None:
        """
        (7) A fork in the middle of other threads' writes harms neither side.
        """
        context = multiprocessing.get_context("fork")
        stop = threading.Event()
        written: list[str] = []

        def write() -> None:
            while not stop.is_set():
                written.append(queued(store).id)

        threads = [threading.Thread(target=write) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for n in range(5):
                child = context.Process(target=_work_in_child, args=(store, n))
                child.start()
                child.join(30.0)
                assert 0 == child.exitcode
        finally:
            stop.set()
            for thread in threads:
                thread.join(10.0)

        listed = {job.id for job in store.list_jobs(JobQuery(limit=100_000))}
        assert set(written) <= listed
        assert len(written) + 5 * 20 == len(listed)


def _reachable(before: JobStatus, after: JobStatus) -> bool:
    reached = {before}
    for _ in JobStatus:
        reached |= {later for status in reached for later in TRANSITIONS[status]}
    return after in reached


def _work_in_child(store: JobStore, number: int) -> None:
    for _ in range(20):
        record = queued(store)
        claimed = claim(store, record.id, worker=f"child {number}", lease=9.0)
        assert claimed is not None
        complete(store, claimed, value_json=str(os.getpid()))
