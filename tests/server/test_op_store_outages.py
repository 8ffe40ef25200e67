"""
An op store server that is away, frozen, restarted or slow, and clients that fork.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from chariots_core.client import RetryPolicy, Timeouts
from chariots_core.errors import StoreUnavailable
from chariots_core.op_store_http import OpStoreClient
from tests.server.op_store_process import OpStoreProcess
from tests.support import ROOT, free_port
from tests.unit.op_store.contract.manifests import job, texts
from tests.unit.op_store.kit import App


@pytest.fixture(name="server")
def _server(tmp_path: Path) -> Iterator[OpStoreProcess]:
    with OpStoreProcess(tmp_path) as server:
        yield server


@pytest.fixture(name="client")
def _client(server: OpStoreProcess) -> Iterator[OpStoreClient]:
    client = OpStoreClient(server.url, timeouts=Timeouts(answer=0.5), look_timeout=0.3)
    yield client
    client.close()


def took(do: Callable[[], object]) -> float:
    """
    Seconds until an outage was reported.
    """
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        do()
    return time.monotonic() - began


def test_server_that_is_away_is_named() -> None:
    """
    Where nothing listens, the error names the server, soon, and says what to look at.
    """
    port = free_port()
    client = OpStoreClient(f"http://127.0.0.1:{port}")

    with pytest.raises(StoreUnavailable, match=rf"'http://127.0.0.1:{port}' cannot be reached"):
        client.ping()
    assert took(client.known_pipelines) < 5.0


@pytest.mark.crash
def test_restarted_server_is_found_again(server: OpStoreProcess, client: OpStoreClient) -> None:
    """
    A client outlives its server: it fails while there is none, and goes on with the next one.
    """
    client.publish(job(client, "v1"))
    server.kill()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        client.savings("pca")
    server.start()

    assert ["v1"] == texts(client)


@pytest.mark.crash
def test_frozen_server_is_not_waited_for(server: OpStoreProcess, client: OpStoreClient) -> None:
    """
    A server that takes connections and never answers costs one time-out, and not several.
    """
    client.ping()
    server.signal_all(signal.SIGSTOP)
    try:
        look, question = took(client.revision), took(client.known_pipelines)
        with pytest.raises(StoreUnavailable, match=r"whether .*activate was carried out is not"):
            client.activate("predict", [])
    finally:
        server.signal_all(signal.SIGCONT)

    assert (True, True) == (look < 1.0, question < 1.5)


@pytest.mark.crash
def test_outage_does_not_stop_serving(server: OpStoreProcess, client: OpStoreClient) -> None:
    """
    An app whose op store server dies serves what it has, and follows it once it is back.
    """
    app = App(client, freshness=0.0)
    app.loaded.open()
    server.kill()
    served = [app.call("predict", [2.0]) for _ in range(3)]
    server.start()
    app.loaded.load("predict")

    assert ([[2.0]] * 3, 1) == (served, app.loaded.get("predict").generation)


@pytest.mark.crash
def test_job_is_published_once_whatever_dies(server: OpStoreProcess) -> None:
    """
    A publication that is sent again and again while servers die is there once.
    """
    client = OpStoreClient(server.url, retries=RetryPolicy(attempts=20, max_delay=0.5))
    manifests = [job(client, f"v{number}", job_id=f"job-{number}") for number in range(30)]
    with ThreadPoolExecutor(2) as threads:
        answers = [
            threads.submit(client.publish, manifest) for manifest in manifests for _ in range(2)
        ]
        for _ in range(2):
            server.kill()
            server.start()
        for answer in answers:
            answer.result(30)

    assert (30, 30) == (len(client.savings("pca")), client.revision())
    client.close()


def work(client: OpStoreClient, name: str) -> None:
    for number in range(40):
        data = f"{name}-{number}".encode() * 100
        assert data == client.get_blob(client.put_blob(data))


def test_forked_processes_have_connections_of_their_own(
    server: OpStoreProcess, client: OpStoreClient
) -> None:
    """
    Processes forked from one that uses a client in two threads all get their own answers.
    """
    client.ping()
    context = get_context("fork")
    children = [context.Process(target=work, args=(client, f"child-{n}")) for n in range(3)]
    with ThreadPoolExecutor(2) as threads:
        own = [threads.submit(work, client, f"thread-{n}") for n in range(2)]
        for child in children:
            child.start()
        for answer in own:
            answer.result(30)
    for child in children:
        child.join(30)

    assert [0] * 3 == [child.exitcode for child in children]


def test_server_ends_with_nothing_left(server: OpStoreProcess, client: OpStoreClient) -> None:
    """
    On SIGTERM the server ends with code 0, also while clients keep connections.
    """
    client.ping()

    assert 0 == server.stop()


TRAIN = """
import json, os, sys
from chariots_core.app.stores import default_op_store
from tests.unit.op_store.kit import App
app = App(default_op_store())
app.train("train_centre", job_id=sys.argv[1])
print(json.dumps(os.listdir(".")))
"""


def test_worker_needs_neither_files_nor_database(server: OpStoreProcess, tmp_path: Path) -> None:
    """
    With the server's address in the environment, a process in an empty folder trains and
    publishes, and writes no file.
    """
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "CHARIOTS_OP_STORE": server.url}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    told = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", TRAIN, f"job-{number}"],
                cwd=elsewhere,
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for number in range(2)
    ]
    client = OpStoreClient(server.url)
    states = [client.get_blob(saved.digest or "") for saved in client.savings("centre")]
    client.close()

    assert ([[]] * 2, [b"18.0", b"9.0", b"0.0"]) == (told, states)
