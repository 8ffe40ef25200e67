"""
A job that says that it began and then takes its time, for each engine.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from chariots.pipelines import Pipeline, PipelinesServer
from chariots.pipelines.nodes import Node
from chariots.pipelines.ops import BaseOp
from chariots.testing import TestOpStoreClient


def hang(ledger: str) -> int:
    """
    Write down that it began, and take an hour, unless the ledger says otherwise.
    """
    path = Path(ledger)
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    ends = time.monotonic() + 3600
    while time.monotonic() < ends and not path.with_suffix(".go").exists():
        time.sleep(0.05)
    return 1


class Hang(BaseOp):
    """
    The same as an op.
    """

    def execute(self, ledger: str) -> int:
        return hang(ledger)


if "BENCH_WORKER_POOL" in os.environ:
    app = PipelinesServer(
        [Pipeline([Node(Hang(), ["__pipeline_input__"], "__pipeline_output__")], name="hang")],
        op_store_client=TestOpStoreClient(f"{os.environ['BENCH_FOLDER']}/ops"),
        worker_pool=json.loads(os.environ["BENCH_WORKER_POOL"]),
        import_name="crashes",
    )
else:
    make: Any = RedisBroker
    backend: Any = RedisBackend
    middleware: Any = Results
    url = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379")
    broker = make(url=f"{url}/0")
    broker.add_middleware(middleware(backend=backend(url=f"{url}/1"), store_results=True))
    dramatiq.set_broker(broker)
    dramatiq_hang = dramatiq.actor(queue_name="bench", time_limit=float("inf"))(hang)
