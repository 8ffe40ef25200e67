"""
What a hundred thousand finished jobs in Redis cost the few that are alive: a look-up, a
list, a tick, each beside the same with a hundred.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.harness import Case, Target, run_suite
from benchmarks.queues.engines import RedisEngine
from chariots_core.jobs import JobQuery, JobStatus, NewJob
from chariots_core.jobs.lifecycle import claim, complete
from chariots_core.jobs.tick import tick
from chariots_core.jobs_redis import RedisJobStore

FEW, MANY = 100, 100_000
CALLS = 500


class Bare(RedisEngine):
    """
    A server, and nobody who works.
    """

    name = "redis"

    def start_workers(self, n: int) -> None:
        raise AssertionError(n)

    def submit(self, number: int) -> Any:
        raise AssertionError(number)

    def is_done(self, job: Any) -> bool:
        raise AssertionError(job)

    def pending(self) -> int:
        raise AssertionError


def measure(records: int) -> Mapping[str, float]:
    """
    Microseconds of each call, and bytes of each job, with so many finished jobs.
    """
    with Bare() as engine:
        store = RedisJobStore(engine.environment["BENCH_REDIS_URL"], app="bench")
        store.ping()
        before = engine.redis.info("memory")["used_memory"]
        ids = [_finished(store, number) for number in range(records)]
        each = (engine.redis.info("memory")["used_memory"] - before) / records
        store.create(NewJob(pipeline="p1", backend="b"))
        pages: dict[str, Callable[[], object]] = {
            "look-up us": lambda: store.get(ids[records // 2]),
            "list us": lambda: store.list_jobs(JobQuery(limit=20)),
            "list of one pipeline us": lambda: store.list_jobs(JobQuery(pipeline="p1", limit=20)),
            "list of a status us": lambda: store.list_jobs(
                JobQuery(status=JobStatus.queued, limit=20)
            ),
            "tick us": lambda: tick(store, dispatch=print, publish=print),
        }
        figures = {name: _median(call) for name, call in pages.items()}
        store.close()
    return figures | {"bytes a job": each}


def _finished(store: RedisJobStore, number: int) -> str:
    job = NewJob(pipeline=f"p{number % 7}", backend="b", input_json=str(number))
    record = claim(store, store.create(job).record.id, worker="host-1234-abcdef01", lease=9.0)
    assert record is not None
    complete(store, record, value_json="true", versions={"isodd": "0" * 130})
    return record.id


def _median(call: Callable[[], object]) -> float:
    took = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)


def main() -> None:
    """
    Run the suite.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    few, many = (f"{n:,} finished jobs" for n in (FEW, MANY))
    cases = [
        Case(name=name, measure=functools.partial(measure, n))
        for name, n in ((few, FEW), (many, MANY))
    ]
    figures = ("look-up us", "list us", "list of one pipeline us", "list of a status us", "tick us")
    targets = [
        *(
            Target(figure=figure, ours=many, floor=few, bound=1.5, at_least=False)
            for figure in figures
        ),
        Target(figure="bytes a job", ours=many, floor=None, bound=2500, at_least=False),
    ]
    # A hundred thousand jobs take a minute to be done; one round says enough.
    run_suite("redis-records", cases, targets, rounds=min(options.rounds, 1))


if __name__ == "__main__":
    main()
