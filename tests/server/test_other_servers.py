"""
The app is a WSGI application: other servers than our own may serve it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gunicorn
import httpx
import pytest

from tests.server.served import descendants
from tests.support import ROOT, free_port, port_open, process_alive, wait_until

RUNS = "/api/v1/pipelines/{}/runs"


@pytest.mark.parametrize("worker_class", ["sync", "gthread"])
def test_gunicorn_with_an_app_made_before_the_fork(tmp_path: Path, worker_class: str) -> None:
    """
    7: an app, and its pool, made before gunicorn forks four processes works in all of them.
    """
    port = free_port()
    arguments = ["--preload", "-w", "4", "-k", worker_class, "-b", f"127.0.0.1:{port}"]
    process = subprocess.Popen(
        [sys.executable, "-m", gunicorn.__name__, *arguments, "tests.served_app:app"],
        cwd=ROOT,
        env={**os.environ, "SERVED_APP_FOLDER": str(tmp_path)},
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: port_open("127.0.0.1", port), timeout=20.0, message="gunicorn")

        def post(pipeline: str, body: object) -> httpx.Response:
            url = f"http://127.0.0.1:{port}{RUNS.format(pipeline)}"
            return httpx.post(url, json=body, trust_env=False, timeout=20.0)

        def call(number: int) -> tuple[int, str]:
            job = post("echo", {"input": number, "use_worker": True})
            return post("who", {"input": 0.05}).json()["output"], job.json()["job"]["id"]

        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(call, range(40)))
        jobs = httpx.get(f"http://127.0.0.1:{port}/api/v1/jobs?limit=200", trust_env=False).json()

        assert len({pid for pid, _ in answers}) > 1
        assert {job for _, job in answers} == {item["id"] for item in jobs["items"]}
        assert 40 == len(jobs["items"])
    finally:
        family = [process.pid, *descendants(process.pid)]
        process.terminate()
        process.wait(20.0)
    wait_until(lambda: not any(map(process_alive, family)), message="the end of gunicorn")
