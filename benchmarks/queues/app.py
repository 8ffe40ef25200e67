"""
The same trivial job as a Chariots pipeline, on the backend that the environment names.
"""

from __future__ import annotations

import json
import os

from chariots.pipelines import Pipeline, PipelinesServer
from chariots.pipelines.nodes import Node
from chariots.pipelines.ops import BaseOp
from chariots.testing import TestOpStoreClient


class IsOdd(BaseOp):
    """
    Whether a number is odd.
    """

    def execute(self, number: int) -> bool:
        return number % 2 == 1


folder = os.environ["BENCH_FOLDER"]
app = PipelinesServer(
    [
        Pipeline(
            [Node(IsOdd(), ["__pipeline_input__"], "__pipeline_output__")],
            name="is_odd",
        )
    ],
    op_store_client=TestOpStoreClient(f"{folder}/ops"),
    worker_pool=json.loads(os.environ["BENCH_WORKER_POOL"]),
    import_name="bench",
)
