"""
Processes that share a store and die at any moment: every job is committed once.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import time
from collections import Counter
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest

from chariots_core.errors import StaleAttempt
from chariots_core.jobs import JobQuery, JobStatus, NewJob, Reason, check_transition
from chariots_core.jobs.lifecycle import complete, fail, renew
from chariots_core.jobs.tick import tick
from chariots_core.jobs_sql import SqlJobStore

JOBS = 80
WORKERS = 4
LEASE = 0.4
ATTEMPTS = 6


def _work(url: str, ledger: str, seed: int) -> None:
    """
    Takes jobs until none is left; now and then fails one, sleeps too long, or dies.
    """
    chance = random.Random(seed)
    store = SqlJobStore(url, app="stress")
    while any(store.counts().values()):
        tick(store, dispatch=lambda _record: None, publish=lambda _record: None)
        record = store.claim_next(
            backend="b", queues=["x", "y"], worker=f"{os.getpid()}", lease=LEASE
        )
        if record is None:
            time.sleep(0.01)
            continue
        _write(ledger, f"start {record.id} {record.attempt}")
        luck = chance.random()
        if luck < 0.05:
            os._exit(9)
        try:
            if luck < 0.08:
                time.sleep(LEASE * 2)
            elif luck < 0.15:
                fail(store, record, reason=Reason.USER_ERROR, retryable=True)
                continue
            renew(store, record, lease=LEASE)
            if luck > 0.97:
                os._exit(9)
            complete(store, record, value_json=json.dumps(record.attempt))
            _write(ledger, f"commit {record.id} {record.attempt}")
        except StaleAttempt:
            _write(ledger, f"stale {record.id} {record.attempt}")
    store.close()


def _write(ledger: str, line: str) -> None:
    handle = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, f"{line}\n".encode())
    os.close(handle)


def _run(url: str, ledger: Path) -> SqlJobStore:
    store = SqlJobStore(url, app="stress")
    for n in range(JOBS):
        store.create(
            NewJob(
                pipeline="p", backend="b", queue="xy"[n % 2], max_attempts=ATTEMPTS, priority=n % 3
            )
        )
    context = multiprocessing.get_context("spawn")
    seeds = iter(range(1_000))
    living: list[SpawnProcess] = []
    deadline = time.monotonic() + 100.0
    while any(store.counts().values()):
        assert time.monotonic() < deadline, f"left over: {store.counts()}"
        living = [process for process in living if process.is_alive()]
        while len(living) < WORKERS:
            process = context.Process(target=_work, args=(url, str(ledger), next(seeds)))
            process.start()
            living.append(process)
        time.sleep(0.02)
    for process in living:
        process.join(10.0)
        assert not process.is_alive()
    return store


def _check(store: SqlJobStore, ledger: Path) -> None:
    records = store.list_jobs(JobQuery(limit=10_000))
    lines = Counter(tuple(line.split()) for line in ledger.read_text().splitlines())
    commits = Counter(job_id for kind, job_id, _ in lines if kind == "commit")
    assert JOBS == len(records)
    for listed in records:
        record = store.get(listed.id)
        starts = sorted(
            int(n) for kind, job_id, n in lines if (kind, job_id) == ("start", record.id)
        )
        assert record.status.is_final
        assert record.attempt <= ATTEMPTS
        assert commits[record.id] <= 1
        assert set(starts) <= set(range(1, record.attempt + 1))
        assert len(starts) == sum(lines["start", record.id, str(n)] for n in set(starts))
        if record.status is JobStatus.done:
            assert record.attempt == record.value
        else:
            assert record.reason in (Reason.ATTEMPTS_EXHAUSTED, Reason.USER_ERROR)
            assert 0 == commits[record.id]
        _check_events(store, record.id, record.status)


def _check_events(store: SqlJobStore, job_id: str, last: JobStatus) -> None:
    before: JobStatus | None = None
    for event in store.events(job_id):
        if event.kind == "state":
            check_transition(before, event.status, job_id=job_id)
            before = event.status
    assert last is before


@pytest.mark.timeout(120)
def test_processes_on_one_file(tmp_path: Path) -> None:
    """
    (29, 30, 36, 67) On SQLite, of jobs whose workers die, hang and fail, each ends once,
    no attempt is repeated, and no more than max_attempts are made.
    """
    store = _run(f"sqlite:///{tmp_path}/jobs.db", tmp_path / "ledger")
    _check(store, tmp_path / "ledger")
    store.close()


@pytest.mark.timeout(120)
def test_processes_on_one_server(postgres_tables: str, tmp_path: Path) -> None:
    """
    (29, 30, 36, 67) On PostgreSQL, of jobs whose workers die, hang and fail, each ends
    once, no attempt is repeated, and no more than max_attempts are made.
    """
    store = _run(postgres_tables, tmp_path / "ledger")
    _check(store, tmp_path / "ledger")
    store.close()
