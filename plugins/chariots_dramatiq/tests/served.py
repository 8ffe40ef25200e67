"""
An app for workers in processes of their own: what it is comes by the environment.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from chariots_core.pipelines import BaseOp, Node, Pipeline
from chariots_core.server import PipelinesServer
from chariots_core.testing import TestOpStoreClient


class IsOdd(BaseOp):
    """
    Whether a number is odd.
    """

    def execute(self, number: int) -> bool:
        return number % 2 == 1


class Wait(BaseOp):
    """
    Ends once a file is there; says in which process it ran.
    """

    def execute(self, file: str) -> int:
        Path(f"{file}.started").touch()
        while not Path(file).exists():
            time.sleep(0.01)
        return os.getpid()


def _pipeline(name: str, op: BaseOp) -> Pipeline:
    return Pipeline([Node(op, ["__pipeline_input__"], "__pipeline_output__")], name=name)


app = PipelinesServer(
    [_pipeline("is_odd", IsOdd()), _pipeline("wait", Wait())],
    op_store_client=TestOpStoreClient(os.environ["SERVED_OPS"]),
    import_name=os.environ["SERVED_NAME"],
    worker_pool=json.loads(os.environ["SERVED_POOL"]),
)
