"""
The numbered behaviours: what each is about, and which the kit has no test for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, TypeVar

T = TypeVar("T", bound=Callable[..., Any])

#: How much of the kit is run: the main behaviours in seconds, or all of it.
Level: TypeAlias = Literal["basic", "full"]

#: The behaviours by their numbers. A number never changes its meaning.
TITLES: Final[Mapping[int, str]] = {
    1: "found and loaded by name, siblings not imported",
    2: "an unknown name, a broken sibling",
    3: "facts are read with the broker down",
    4: "bad settings are named, secrets are not shown",
    5: "another contract version, a misspelt hook",
    6: "made without a connection, closed without a leak",
    7: "made before a fork, used in four children",
    8: "what is not declared is refused before the queue",
    9: "an accepted job is visible at once",
    10: "a job waits for the first worker",
    11: "an unknown id is not found",
    12: "another process reads the identical record",
    13: "a look-up changes nothing",
    14: "a result round-trips exactly",
    15: "an input is not changed",
    16: "one id submitted twice runs once",
    17: "a submission without a queue",
    18: "times and statuses move one way",
    19: "never queued after done",
    20: "done comes with its result",
    21: "a raising op fails its job",
    22: "an op that leaves its process",
    23: "a result that is not JSON",
    24: "an input that is not JSON",
    25: "inputs and results over the limit",
    26: "a worker that does not know the pipeline",
    27: "rubbish in the queue",
    28: "a message is a job id or nothing",
    29: "each job is executed once, side by side",
    30: "the executing process is killed",
    31: "the supervising process is killed",
    32: "the whole worker is killed",
    33: "attempts and poison",
    34: "killed between dequeue and claim",
    35: "killed between commit and acknowledgement",
    36: "a worker that slept through its lease",
    37: "an op that holds the interpreter",
    38: "the broker restarts while idle",
    39: "the broker restarts while busy",
    40: "the broker is down as a job ends",
    41: "the queue is emptied, or mute",
    42: "the store restarts",
    43: "two reapers, one transition",
    44: "a clock that is an hour off",
    45: "the server is killed after its answer",
    46: "SIGTERM while busy, and while idle",
    47: "SIGTERM between dequeue and start",
    48: "the end of the grace, a second SIGTERM",
    49: "jobs behind a stopping worker",
    50: "the list of workers",
    51: "a queued job is cancelled",
    52: "a running job is cancelled",
    53: "a job over its time",
    54: "retries",
    55: "scheduled jobs",
    56: "priorities and queues",
    57: "how long records and queued jobs are kept",
    58: "progress",
    59: "many jobs in one step",
    60: "waiting for a job",
    61: "spawned workers",
    62: "queue statistics and purge",
    63: "what jobs share",
    64: "secrets stay out of sight",
    65: "a forged message names a job at most",
    66: "traces, logs and metrics",
    67: "a soak with random kills",
    68: "trainings are published by their commit",
    69: "settled without being looked up",
    70: "two apps on one store",
    71: "idle processes rest",
}

#: Behaviours without a test here, each with the reason; a report repeats it.
NOT_IN_THE_KIT: Final[Mapping[int, str]] = {
    59: "the contract of pools has no call that submits many jobs in one step",
    60: "no backend pushes the end of a job yet: whoever waits reads the record, as 18 to 20 do",
    62: "the contract of pools has no call that purges a queue or tells its depth",
    66: "the core has neither traces nor metrics yet, and a backend has no share in its logs",
}

#: The behaviour that shows a capability. One that is not here is declared at
#: its author's own risk: a report names it as unproved.
SHOWN_BY: Final[Mapping[str, int]] = {
    "cancel_queued": 51,
    "cancel_hard": 52,
    "timeout_hard": 53,
    "retry": 54,
    "schedule": 55,
    "priorities": 56,
    "queues": 56,
    "worker_list": 50,
    "spawn": 61,
    "isolation": 63,
}

_NAME: Final = re.compile(r"test_(\d\d)_")
_LEVEL: Final = "conformance_level"


def basic(test: T) -> T:
    """
    Mark a test as one of the level ``basic``; all others are ``full``.

    No pytest marker: a marker would have to be registered wherever the kit is
    subclassed.
    """
    vars(test)[_LEVEL] = "basic"
    return test


def level_of(test: object) -> Level:
    """
    The level of a test function.
    """
    return "basic" if getattr(test, _LEVEL, "full") == "basic" else "full"


def number_of(test: str) -> int | None:
    """
    The number of the behaviour that a test of this name shows; None: it is not the kit's.
    """
    found = _NAME.match(test)
    return int(found[1]) if found else None


def offered_by(suite: type) -> Mapping[str, Level]:
    """
    The tests of the kit that a suite has, with their levels.
    """
    return {
        name: level_of(getattr(suite, name))
        for name in sorted(dir(suite))
        if number_of(name) is not None and callable(getattr(suite, name))
    }
