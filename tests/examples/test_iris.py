"""
The iris example and its demo.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import missing_service
from tests.redis_servers import redis_program
from tests.support import wait_until

DEMO = Path(__file__).parents[2] / "examples" / "iris" / "demo.py"


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("backend", ["local", "rq"])
def test_demo(tmp_path: Path, backend: str) -> None:
    """
    The demo trains on a worker, predicts over HTTP, leaves no process behind, and keeps to
    stores of its own, whatever the caller's environment names.
    """
    if backend == "rq" and redis_program() is None:
        missing_service("a redis-server")
    mark = f"demo-test-{os.getpid()}"
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        cwd=tmp_path,
        env={
            **os.environ,
            "DEMO_TEST_MARK": mark,
            "CHARIOTS_WORKER_POOL": backend,
            "CHARIOTS_JOB_STORE": f"sqlite:///{tmp_path}/jobs.db",
            "CHARIOTS_OP_STORE": f"sqlite:///{tmp_path}/ops.db",
            "CHARIOTS_OP_STORE_FILES": f"{tmp_path}/files",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert f"backend {backend}" in done.stdout
    for words in ("decided by the pipeline", "setosa", "virginica", "nothing is left running"):
        assert words in done.stdout
    assert [] == [p for p in psutil.process_iter() if _has_mark(p, mark)]
    assert [] == list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("moment", ["Chariots: iris", "decided by the pipeline"])
def test_interrupted_demo(moment: str, tmp_path: Path) -> None:
    """
    Ctrl-C ends the demo with exit code 130, no traceback, and nothing left behind.
    """
    mark = f"demo-interrupted-{os.getpid()}"
    folder, log = tmp_path / "folder", tmp_path / "log"
    folder.mkdir()
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, str(DEMO)],
            cwd=folder,
            env={**os.environ, "DEMO_TEST_MARK": mark, "TMPDIR": str(folder)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    wait_until(lambda: moment in log.read_text(), 60, log.read_text)
    # As a terminal does: to all that are in its foreground.
    os.killpg(demo.pid, signal.SIGINT)

    assert 130 == demo.wait(60), log.read_text()
    assert "Traceback" not in log.read_text()
    assert [] == [p for p in psutil.process_iter() if _has_mark(p, mark)]
    assert [] == list(folder.iterdir())


def _has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get("DEMO_TEST_MARK") == mark
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
