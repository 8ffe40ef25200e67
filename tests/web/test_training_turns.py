"""
Trainings of one op by several workers: one after the other, whatever becomes of a worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from chariots_core.op_store import leases
from chariots_core.testing.conformance.processes import halt
from tests.support import wait_until
from tests.web.releases import DEADLINE, Release

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SHOP = '''
import os
import time
from pathlib import Path

from chariots_core.pipelines import LoadableOp, Node, Pipeline
from chariots_core.server import PipelinesServer

INPUT, OUTPUT = "__pipeline_input__", "__pipeline_output__"


class Total(LoadableOp):
    """The sum of all that it was trained on; it notes when a training starts and ends."""

    continue_training = True

    def __init__(self, fits=False):
        super().__init__()
        self.fits = fits
        self.total = 0

    @property
    def trains(self):
        return self.fits

    def note(self, word, number):
        with open("notes", "a") as notes:
            notes.write(f"{word} {number} {os.getpid()}\\n")

    def execute(self, number):
        if not self.fits:
            return self.total
        self.note("start", number)
        deadline = time.monotonic() + 60.0
        while Path(f"gate-{number}").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.total += number
        self.note("end", number)
        return self.total

    def serialize(self):
        return str(self.total).encode()

    def load(self, serialized_object):
        self.total = int(serialized_object)


app = PipelinesServer(
    [
        Pipeline([Node(Total(True), [INPUT], OUTPUT)], name="add"),
        Pipeline([Node(Total(), [INPUT], OUTPUT)], name="total"),
    ],
    worker_pool={"backend": "local", "url": os.environ["JOBS"]},
    import_name="shop",
)
'''


@pytest.fixture(name="release")
def _release(tmp_path: Path) -> Iterator[Release]:
    release = Release(tmp_path / "code", tmp_path, {"shop.py": SHOP})
    yield release
    release.close()


def notes(release: Release) -> list[tuple[str, int]]:
    """
    What the trainings have noted, in order.
    """
    file = release.folder / "notes"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(word, int(number)) for word, number, _ in map(str.split, lines)]


def pid_of(release: Release, number: int) -> int:
    """
    The process that trains a number.
    """
    lines = (release.folder / "notes").read_text().splitlines()
    return next(int(line.split()[2]) for line in lines if line.split()[1] == str(number))


def started(release: Release, number: int) -> None:
    """
    Wait until the training of a number has begun.
    """
    wait_until(lambda: ("start", number) in notes(release), DEADLINE, lambda: str(notes(release)))


def test_trainings_do_not_overlap(release: Release) -> None:
    """
    Trainings by three workers follow one another, and each goes on from the one before.
    """
    server = release.serve()
    for _ in range(3):
        release.worker()

    jobs = [server.submit("add", number) for number in range(1, 13)]
    totals = [server.done(job) for job in jobs]

    found = notes(release)
    assert [("start", "end")] * 12 == [
        (first[0], second[0]) for first, second in list(pairwise(found))[::2]
    ]
    assert [sum(range(13))] == [max(totals)]
    assert 12 == len(set(totals))
    server.load("total")
    assert sum(range(13)) == server.output_of("total", 0)


@pytest.mark.crash
def test_a_killed_training_holds_up_no_other(release: Release) -> None:
    """
    After kill -9 of a worker that trains, the next training begins once the lease of that one
    is over.
    """
    server = release.serve()
    (release.folder / "gate-1").touch()
    killed = release.worker()
    job = server.submit("add", 1)
    started(release, 1)
    release.worker()
    next_job = server.submit("add", 2)

    killed.kill()

    ended: dict[str, Any] = server.ended(next_job, leases.SECONDS + DEADLINE)
    assert ("done", 2) == (ended["status"], ended["output"])
    assert ("failed", "worker_lost") == tuple(
        server.ended(job)[key] for key in ("status", "reason")
    )
    assert [("start", 1), ("start", 2), ("end", 2)] == notes(release)


@pytest.mark.crash
@pytest.mark.parametrize(
    ("what", "reason"), [("worker", "worker_lost"), ("child", "training_in_progress")]
)
def test_a_halted_training_takes_nothing_away(release: Release, what: str, reason: str) -> None:
    """
    A training that stands still for longer than its lease does not publish over the one that
    took its turn meanwhile, whether the whole worker is halted or only the process that trains.
    """
    server = release.serve()
    (release.folder / "gate-1").touch()
    halted = release.worker()
    job = server.submit("add", 1)
    started(release, 1)
    release.worker()
    next_job = server.submit("add", 2)

    pids = [each.pid for each in halted.family()] if what == "worker" else [pid_of(release, 1)]
    halt(pids)
    try:
        other: dict[str, Any] = server.ended(next_job, leases.SECONDS + DEADLINE)
    finally:
        (release.folder / "gate-1").unlink()
        halted.go_on()

    assert ("done", 2) == (other["status"], other["output"])
    assert ("failed", reason) == tuple(server.ended(job)[key] for key in ("status", "reason"))
    assert 200 == server.load("total").status_code
    assert 2 == server.output_of("total", 0)
    assert 5 == server.done(server.submit("add", 3))
