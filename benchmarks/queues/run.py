"""
Queues: backends of Chariots beside raw Celery prefork, raw RQ and raw Dramatiq, in one run.

For each engine and number of workers: how fast one producer submits, how fast
idle workers drain what waits, how long one job takes from submission to a
readable result, what idle workers cost in memory and CPU.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.harness import Case, Target, run_suite
from benchmarks.queues.dramatiq_engines import (
    ChariotsDramatiq,
    ChariotsDramatiqRabbit,
    ChariotsDramatiqRabbitThread,
    ChariotsDramatiqThread,
    RawDramatiq,
    RawDramatiqRabbit,
)
from benchmarks.queues.engines import (
    CeleryPrefork,
    ChariotsRQ,
    ChariotsRQFresh,
    Engine,
    Local,
    RQFork,
    RQSimple,
    running,
    wait_until,
)

JOBS = 2000
ROUND_TRIPS = 200
IDLE_SECONDS = 10.0


def measure(engine: type[Engine], workers: int, jobs: int, trips: int) -> Mapping[str, float]:
    """
    All figures of one engine, from one start of it.
    """
    with running(engine, workers) as started:
        figures = round_trips(started, trips)
        figures |= drain(started, jobs)
        figures |= idle(started)
    return figures


def round_trips(engine: Engine, trips: int) -> dict[str, float]:
    """
    One job after the other, each awaited by polling every half millisecond.
    """
    took = []
    for number in range(trips):
        began = time.perf_counter()
        job = engine.submit(number)
        while not engine.is_done(job):
            time.sleep(0.0005)
        took.append((time.perf_counter() - began) * 1e3)
    return {
        "round trip p50 ms": statistics.median(took),
        "p95 ms": statistics.quantiles(took, n=20)[-1],
    }


def drain(engine: Engine, jobs: int) -> dict[str, float]:
    """
    Submit while the workers are stopped, then let them go.
    """
    engine.freeze()
    began = time.perf_counter()
    for number in range(jobs):
        engine.submit(number)
    submitted = time.perf_counter()
    engine.thaw()
    wait_until(lambda: engine.pending() == 0, f"the end of {jobs} jobs of {engine.name}")
    return {
        "submit jobs/s": jobs / (submitted - began),
        "drain jobs/s": jobs / (time.perf_counter() - submitted),
    }


def idle(engine: Engine) -> dict[str, float]:
    """
    What the workers cost while they wait.
    """
    before = engine.cpu_seconds()
    time.sleep(IDLE_SECONDS)
    used = engine.cpu_seconds() - before
    return {"idle CPU %": 100 * used / IDLE_SECONDS, "idle PSS MB": engine.memory_mb()}


#: What the suite of each name measures.
MATRICES: Final[Mapping[str, Sequence[tuple[type[Engine], int]]]] = {
    "queues": [
        (Local, 1),
        (Local, 2),
        (CeleryPrefork, 1),
        (CeleryPrefork, 2),
        (RQSimple, 1),
        (RQSimple, 2),
        (RQFork, 1),
    ],
    "rq": [
        (ChariotsRQ, 1),
        (ChariotsRQ, 2),
        (ChariotsRQFresh, 1),
        (RQSimple, 1),
        (RQSimple, 2),
        (RQFork, 1),
    ],
    "dramatiq": [
        (engine, n)
        for engine in (
            ChariotsDramatiq,
            ChariotsDramatiqThread,
            RawDramatiq,
            ChariotsDramatiqRabbit,
            ChariotsDramatiqRabbitThread,
            RawDramatiqRabbit,
        )
        for n in (1, 2)
    ],
}

_RATES: Final = functools.partial(Target, figure="drain jobs/s", at_least=True)
_TRIPS: Final = functools.partial(Target, at_least=False)

TARGETS: Final[Mapping[str, Sequence[Target]]] = {
    "queues": [
        _RATES(ours="chariots local, 1", floor="raw Celery prefork, 1", bound=1),
        _RATES(ours="chariots local, 2", floor="raw Celery prefork, 2", bound=1),
        _TRIPS(
            figure="round trip p50 ms",
            ours="chariots local, 1",
            floor="raw RQ SimpleWorker, 1",
            bound=1,
        ),
        _TRIPS(figure="idle CPU %", ours="chariots local, 1", floor=None, bound=1),
    ],
    "rq": [
        *(
            Target(
                figure=figure,
                ours=f"chariots rq, {n}",
                floor=f"raw RQ SimpleWorker, {n}",
                bound=bound,
                at_least=True,
            )
            for n in (1, 2)
            for figure, bound in (("drain jobs/s", 0.85), ("submit jobs/s", 0.8))
        ),
        _RATES(ours="chariots rq, 1", floor="raw RQ Worker (fork per job), 1", bound=3),
        _RATES(ours="chariots rq, fresh, 1", floor="raw RQ Worker (fork per job), 1", bound=0.9),
        *(
            _TRIPS(
                figure=figure,
                ours="chariots rq, 1",
                floor="raw RQ SimpleWorker, 1",
                bound=1.2,
            )
            for figure in ("round trip p50 ms", "p95 ms")
        ),
        _TRIPS(figure="idle CPU %", ours="chariots rq, 1", floor=None, bound=1),
    ],
    "dramatiq": [
        *(
            _RATES(
                ours=f"chariots dramatiq on {broker}, thread, {n}",
                floor=f"raw Dramatiq on {broker}, {n}",
                bound=0.75,
            )
            for broker in ("Redis", "RabbitMQ")
            for n in (1, 2)
        ),
        *(
            _TRIPS(
                figure="idle CPU %",
                ours=f"chariots dramatiq on {broker}, warm, 1",
                floor=None,
                bound=1,
            )
            for broker in ("Redis", "RabbitMQ")
        ),
    ],
}


def main() -> None:
    """
    Run one suite.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suite", nargs="?", default="queues", choices=list(MATRICES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--only", default="", help="cases whose name contains this text")
    options = parser.parse_args()
    cases = [
        Case(
            name=f"{engine.name}, {workers}",
            measure=functools.partial(
                measure, engine, workers, options.jobs // engine.share, ROUND_TRIPS // engine.share
            ),
        )
        for engine, workers in MATRICES[options.suite]
        if options.only in engine.name
    ]
    targets = [] if options.only else TARGETS[options.suite]
    run_suite(options.suite, cases, targets, rounds=options.rounds)


if __name__ == "__main__":
    main()
