"""
The main job from end to end, on real processes: serve, train on a worker, load, predict.

Starts ``chariots serve`` with a worker beside it in a folder of its own, calls
it over HTTP, stops it, and checks that nothing is left running. A backend that
needs a Redis gets one of the demo's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from chariots.pipelines import PipelineResponse, PipelinesClient
from chariots_core.errors import ChariotsError
from chariots_core.jobs import Progress as JobProgress

HERE = Path(__file__).parent
DEADLINE = 60.0
INTERRUPTED = 130
NEED_REDIS = ("dramatiq", "rq")
FLOWERS = {
    "short and broad": [5.1, 3.5, 1.4, 0.2],
    "in between": [5.9, 2.8, 4.3, 1.3],
    "long all over": [7.2, 3.2, 6.0, 2.1],
}
console = Console(highlight=False)
ctrl_c = SimpleNamespace(came=False, held=False)


def main() -> int:
    """
    Run the demo; 0 if all went well.
    """
    signal.signal(signal.SIGINT, on_interrupt)
    backend = os.environ.get("CHARIOTS_WORKER_POOL", "local")
    console.rule("[bold]Chariots: iris, trained on a worker and served over HTTP")
    with (
        tempfile.TemporaryDirectory(prefix="chariots-demo-") as folder,
        worker_pool(backend, Path(folder)) as pool,
        served(Path(folder), pool) as (url, server),
        PipelinesClient(url) as client,
    ):
        started = len([server.pid, *descendants(server.pid)])
        step("serve", f"{url}, backend [bold]{backend}[/], {started} processes")
        train(client)
        client.load_pipeline("predict_iris")
        step("load", "predict_iris serves what train_iris has just trained, in every process")
        predict(client)
        processes = [server.pid, *descendants(server.pid)]
    wait_until(lambda: not any(map(is_alive, processes)), "the end of every process")
    step("stop", f"{len(processes)} processes ended, nothing is left running")
    return 0


def train(client: PipelinesClient) -> None:
    """
    Train on a worker, with a progress line.
    """
    answer = client.call_pipeline("train_iris")
    status = answer.job_status.value
    step("train", f"job {answer.job_id} is {status}: decided by the {answer.decided_by}")
    began = time.monotonic()
    with progress_line() as on_progress:
        done = client.wait_for_job(answer, timeout=DEADLINE, on_progress=on_progress)
    took = time.monotonic() - began
    status = done.job_status.value
    step("", f"{status} in {took:.1f} s, right about {done.value:.1%} of unseen flowers")
    step("", versions_of(done))


def predict(client: PipelinesClient) -> None:
    """
    Ask for the species of some flowers, in the request.
    """
    answer = client.call_pipeline("predict_iris", list(FLOWERS.values()))
    table = Table("flower", "sepal", "petal", "species", title_justify="left")
    for (looks, (a, b, c, d)), species in zip(FLOWERS.items(), answer.value, strict=True):
        table.add_row(looks, f"{a} by {b} cm", f"{c} by {d} cm", f"[bold]{species}")
    step("predict", "answered in the request: nobody asked for a worker")
    step("", versions_of(answer))
    console.print(table)


def versions_of(answer: PipelineResponse) -> str:
    """
    The trained versions behind an answer, shortened.
    """
    trained = ((node, answer.versions[node]) for node in ("irispca", "irisclassifier"))
    return "versions " + ", ".join(f"{node} {version.patch[:8]}" for node, version in trained)


def step(name: str, text: str) -> None:
    """
    One line of the story.
    """
    heed_interrupt()
    console.print(f"[bold green]{name:>8}[/]  {text}", soft_wrap=True)


@contextlib.contextmanager
def progress_line() -> Iterator[Callable[[JobProgress], None]]:
    """
    A bar that a job's progress moves.
    """
    columns = (TextColumn("          {task.description:<20}"), BarColumn(), TaskProgressColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("waiting for a worker", total=None)

        def on_progress(progress: JobProgress) -> None:
            bar.update(
                task,
                description=progress.message or progress.node or "at work",
                completed=progress.done,
                total=progress.total,
            )

        yield on_progress
        bar.update(task, description="done", completed=1, total=1)


@contextlib.contextmanager
def worker_pool(backend: str, folder: Path) -> Iterator[str]:
    """
    What ``CHARIOTS_WORKER_POOL`` says to the server: the backend, with a Redis where it needs one.
    """
    if backend not in NEED_REDIS:
        yield backend
        return
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit(
            f"backend {backend!r} needs Redis: install redis-server, or run `make demo` without BACKEND"
        )
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "yes", "--dir", str(folder)]
    with running(command, stdout=subprocess.DEVNULL) as redis:
        wait_until(lambda: is_open(port), "the start of Redis")
        step("redis", f"a server of the demo's own on port {port}, process {redis.pid}")
        yield json.dumps({"backend": backend, "url": f"redis://127.0.0.1:{port}/0"})


@contextlib.contextmanager
def served(folder: Path, pool: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """
    The app behind ``chariots serve`` with one worker, ready for requests.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = folder / "serve.log"
    command = [sys.executable, "-m", "chariots_core.cli", "serve", "app:app"]
    command += ["--port", str(port), "--processes", "2", "--job-workers", "1"]
    with (
        log.open("wb") as output,
        running(
            command, cwd=folder, env=environment(folder, pool), stdout=output, stderr=output
        ) as process,
    ):
        try:
            wait_until(lambda: is_ready(url, process), "the server's start")
            yield url, process
        except (Exception, SystemExit):
            console.print(log.read_text(errors="replace")[-4000:], markup=False)
            raise


@contextlib.contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """
    A server for as long as the demo needs it. Ctrl-C is for the demo alone, which ends it.
    """
    ctrl_c.held = True
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        ctrl_c.held = False
        heed_interrupt()
        yield process
    finally:
        end(process)


def on_interrupt(*_: object) -> None:
    """
    Ctrl-C: at once, except while a process starts, which an exception would leave to nobody.
    """
    ctrl_c.came = True
    if not ctrl_c.held:
        raise KeyboardInterrupt


def heed_interrupt() -> None:
    """
    Raise what was held back, or what Python had nobody to hand to, as within an import.
    """
    if ctrl_c.came:
        raise KeyboardInterrupt


def environment(folder: Path, pool: str) -> dict[str, str]:
    """
    The caller's environment without his own stores and settings: the demo keeps to *folder*.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("CHARIOTS_")}
    return {
        **own,
        "CHARIOTS_WORKER_POOL": pool,
        "PYTHONPATH": str(HERE),
        "IRIS_OP_STORE": str(folder / "ops"),
    }


def end(process: subprocess.Popen[bytes]) -> None:
    """
    Stop a server; kill it if that takes too long, or is interrupted. Its processes end with it.
    """
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(DEADLINE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


def is_ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    """
    Whether the server answers and a worker is alive.
    """
    if process.poll() is not None:
        raise SystemExit(f"the server ended with exit code {process.returncode}")
    with contextlib.suppress(httpx.TransportError):
        answer = httpx.get(f"{url}/readyz?verbose=1")
        return answer.status_code == 200 and bool(answer.json()["workers"])
    return False


def descendants(pid: int) -> list[int]:
    """
    The processes that *pid* has started, and theirs, where the system tells of them.
    """
    children = [
        int(child)
        for listing in Path(f"/proc/{pid}/task").glob("*/children")
        for child in listing.read_text().split()
    ]
    return [found for child in children for found in (child, *descendants(child))]


def is_alive(pid: int) -> bool:
    """
    Whether there is such a process.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_open(port: int) -> bool:
    """
    Whether something listens on a port of this machine.
    """
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False


def free_port() -> int:
    """
    A port of this machine that nobody listens on.
    """
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """
    Look ten times a second until *condition* holds.
    """
    end = time.monotonic() + DEADLINE
    while not condition():
        heed_interrupt()
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not come within {DEADLINE:g} s")
        time.sleep(0.1)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except ChariotsError as error:
        raise SystemExit(f"demo failed: {error}") from error
    except KeyboardInterrupt:
        console.print("interrupted: the server was stopped")
        raise SystemExit(INTERRUPTED) from None
