"""
What the contract's tests stand on: a store, and a clock that can be moved.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, Protocol, TypeVar

import attrs
import pytest

from chariots_core.jobs.lifecycle import claim, complete
from chariots_core.jobs.outcomes import finished_changes
from chariots_core.jobs.record import JobRecord, NewJob
from chariots_core.jobs.status import JobStatus
from chariots_core.jobs.store import Guard, JobStore
from chariots_core.jobs.tick import TickReport, tick

T = TypeVar("T")


class StoreHarness(Protocol):
    """
    Empty storage, the handles on it, and its clock.
    """

    @abstractmethod
    def open(self, app: str = "app") -> JobStore:
        """
        A new handle on the jobs of *app*.
        """

    @abstractmethod
    def advance(self, seconds: float) -> None:
        """
        Move the store's clock forward, for every handle and process.
        """


@attrs.define
class Ticker:
    """
    Ticks a store and writes down what it is told to hand over and to publish.
    """

    store: JobStore
    dispatched: list[JobRecord] = attrs.field(factory=list)
    published: list[JobRecord] = attrs.field(factory=list)

    def __call__(self, job_id: str | None = None, limit: int = 100) -> TickReport:
        return tick(
            self.store,
            dispatch=self.dispatched.append,
            publish=self.published.append,
            job_id=job_id,
            limit=limit,
        )

    @property
    def sent(self) -> list[tuple[str, int]]:
        """
        What was handed over: ids and generations.
        """
        return [(record.id, record.generation) for record in self.dispatched]


class StoreTests:
    """
    The fixtures of every part of the contract.
    """

    @pytest.fixture
    def harness(self) -> StoreHarness:
        """
        To be given by the subclass.
        """
        raise TypeError(f"{type(self).__name__} needs a fixture 'harness': see StoreHarness")

    @pytest.fixture
    def store(self, harness: StoreHarness) -> JobStore:
        """
        A handle on the jobs of the app ``app``.
        """
        return harness.open("app")


class TickTests(StoreTests):
    """
    The fixtures of those parts in which time is settled.
    """

    @pytest.fixture
    def ticker(self, store: JobStore) -> Ticker:
        """
        A ticker of the store.
        """
        return Ticker(store)


def new_job(**options: Any) -> NewJob:
    """
    A job of the pipeline ``p``.
    """
    return NewJob(**{"pipeline": "p", "backend": "b", "input_json": "[1]", **options})


def queued(store: JobStore, **options: Any) -> JobRecord:
    """
    A job that has just been written.
    """
    return store.create(new_job(**options)).record


def started(store: JobStore, lease: float = 30.0, **options: Any) -> JobRecord:
    """
    A job that has just been claimed.
    """
    record = claim(store, queued(store, **options).id, worker="w1", lease=lease)
    assert record is not None
    return record


def trained(store: JobStore, lease: float = 30.0, **options: Any) -> JobRecord:
    """
    A job whose outcome is committed, with a manifest that is still to be published.
    """
    return complete(
        store, started(store, lease, **options), value_json="1", manifest_json='{"m":1}'
    )


def trained_before(store: JobStore, **options: Any) -> JobRecord:
    """
    A job as releases before this one left it: ``done``, with an unpublished manifest.
    """
    record = started(store, **options)
    written = store.compare_and_set(
        Guard(job_id=record.id, status=JobStatus.running, token=record.token),
        JobStatus.done,
        finished_changes(record) | {"value_json": "1", "manifest_json": '{"m":1}'},
    )
    assert written is not None
    return written


def together(n: int, act: Callable[[int], T]) -> list[T]:
    """
    What *act* returns to each of *n* threads that call it at the same moment.
    """
    barrier = Barrier(n)

    def one(number: int) -> T:
        barrier.wait(10.0)
        return act(number)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(one, range(n)))


def near(expected: float, found: float) -> bool:
    """
    Whether two times in seconds are the same but for the time a test takes.
    """
    return abs(expected - found) < 1.0


def as_it_is(record: JobRecord) -> Guard:
    """
    A guard on a record's status only.
    """
    return Guard(job_id=record.id, status=record.status)


def told(store: JobStore, job_id: str) -> list[tuple[str, JobStatus, str | None, int]]:
    """
    The events of a job, without their times.
    """
    return [
        (event.kind, event.status, event.reason, event.attempt) for event in store.events(job_id)
    ]
