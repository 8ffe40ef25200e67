"""
Cold starts: how long Python takes to import Chariots and to build a server.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness import Case, Target, run_suite

REPO = Path(__file__).parents[1]
RUNS = 5

SERVER = """
from chariots.pipelines import Pipeline, PipelinesServer
from chariots.pipelines.nodes import Node
from chariots.pipelines.ops import BaseOp
from chariots.testing import TestOpStoreClient, TestPipelinesClient

class IsOdd(BaseOp):
    def execute(self, number):
        return number % 2 == 1

pipeline = Pipeline([Node(IsOdd(), ["__pipeline_input__"], "__pipeline_output__")], name="is_odd")
app = PipelinesServer([pipeline], op_store_client=TestOpStoreClient("ops"), import_name="cold")
"""
CALL = (
    SERVER
    + """
assert app.test_client().post("/pipelines/is_odd/main", json={"pipeline_input": 3}).status_code == 200
"""
)


def cold(code: str) -> Mapping[str, float]:
    """
    The fastest of some fresh interpreters, from start to exit.
    """
    took = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, "-c", code],
                check=True,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(REPO)},
            )
            took.append(time.perf_counter() - began)
    return {"seconds": min(took)}


def main() -> None:
    """
    Run the suite.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sources = {
        "bare interpreter": "pass",
        "import flask": "import flask",
        "import chariots_core": "import chariots_core",
        "import chariots_core.client": "import chariots_core.client",
        "server with one pipeline": SERVER,
        "server, first call answered": CALL,
    }
    cases = [
        Case(name=name, measure=functools.partial(cold, code)) for name, code in sources.items()
    ]
    targets = [
        Target(
            figure="seconds", ours="import chariots_core", floor=None, bound=0.2, at_least=False
        ),
        Target(
            figure="seconds", ours="server with one pipeline", floor=None, bound=0.6, at_least=False
        ),
    ]
    run_suite("startup", cases, targets, rounds=options.rounds)


if __name__ == "__main__":
    main()
