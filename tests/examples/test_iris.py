"""
The iris example and its demo.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

DEMO = Path(__file__).parents[2] / "examples" / "iris" / "demo.py"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_demo(tmp_path: Path) -> None:
    """
    The demo trains on a worker, predicts over HTTP, and leaves no process behind.
    """
    mark = f"demo-test-{os.getpid()}"
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        cwd=tmp_path,
        env={**os.environ, "CHARIOTS_TEST_MARK": mark},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    for words in ("decided by the pipeline", "setosa", "virginica", "nothing is left running"):
        assert words in done.stdout
    assert [] == [p for p in psutil.process_iter() if _has_mark(p, mark)]
    assert [] == list(tmp_path.iterdir())


def _has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get("CHARIOTS_TEST_MARK") == mark
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
