"""
What the kit does to processes.
"""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chariots_core.testing.conformance.processes import halt
from tests.support import wait_until

#: Eight threads that count in a file, each in a place of its own, for as long as they live.
COUNT = """
import mmap, sys, threading
with open(sys.argv[1], "r+b") as file:
    places = mmap.mmap(file.fileno(), 0)
def count(place):
    while True:
        places[place] = (places[place] + 1) % 256
for place in range(8):
    threading.Thread(target=count, args=(place,)).start()
"""


@pytest.mark.crash
def test_halted_process_stands_still_at_once(tmp_path: Path) -> None:
    """
    Whatever core its threads run on, none of them takes another step once `halt` is back.
    """
    path = tmp_path / "places"
    path.write_bytes(bytes(8))
    process = subprocess.Popen([sys.executable, "-c", COUNT, str(path)])
    try:
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as places:
            for _ in range(20):
                before = bytes(places)
                wait_until(lambda before=before: bytes(places) != before)  # type: ignore[misc]
                halt([process.pid])
                halted = [bytes(places) for _ in range(2000)]
                os.kill(process.pid, signal.SIGCONT)
                assert {halted[0]} == set(halted)
    finally:
        process.kill()
        process.wait(10.0)


def test_halting_what_has_ended_is_no_error() -> None:
    """
    A process that ended in the meantime stands still.
    """
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(20.0)

    halt([process.pid])
